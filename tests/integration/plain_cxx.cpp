/* SPDX-License-Identifier: MIT */
/* C++: exceptions in and out of threads, the standard library's locks and futures, new and delete. */
#include <condition_variable>
#include <exception>
#include <future>
#include <iostream>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

namespace {

struct Noisy {
    explicit Noisy(const char *called) : name(called)
    {
    }
    ~Noisy()
    {
        std::cout << "destroyed: " << name << std::endl;
    }
    const char *name;
};

std::string early = "constructed before main, too long for the small string buffer";

long fail(long value)
{
    Noisy noisy("in the throwing thread");

    std::this_thread::sleep_for(std::chrono::microseconds(10));
    if (value > 2)
        throw std::runtime_error("thrown in a thread");
    return value;
}

void hand_over()
{
    std::mutex mutex;
    std::condition_variable condition;
    std::vector<int> items;
    std::thread producer([&] {
        for (int i = 0; i < 1000; i++) {
            std::lock_guard<std::mutex> guard(mutex);
            items.push_back(i);
            condition.notify_one();
        }
    });
    std::unique_lock<std::mutex> guard(mutex);

    condition.wait(guard, [&] { return items.size() == 1000; });
    guard.unlock();
    producer.join();
    std::cout << "items " << items.size() << ", last " << items.back() << std::endl;
}

/* pthread_exit() unwinds C++ frames. */
void *leave(void *)
{
    Noisy noisy("by pthread_exit");

    pthread_exit(nullptr);
}

} // namespace

int main()
{
    volatile std::size_t huge = static_cast<std::size_t>(-1) / 4;
    pthread_t thread;

    std::cout << early << std::endl;
    std::cout << "future: " << std::async(std::launch::async, fail, 1).get() << std::endl;
    try {
        std::async(std::launch::async, fail, 3).get();
    } catch (const std::exception &error) {
        std::cout << "caught: " << error.what() << std::endl;
    }
    hand_over();
    try {
        delete[] new char[huge];
    } catch (const std::bad_alloc &) {
        std::cout << "caught: bad_alloc" << std::endl;
    }
    if (pthread_create(&thread, nullptr, leave, nullptr) != 0 || pthread_join(thread, nullptr) != 0)
        return 1;
    std::cerr << "terminating" << std::endl;
    std::thread(fail, 3).join(); /* nobody catches: terminate() without unwinding, so no destructor */
    return 0;
}
