/* SPDX-License-Identifier: MIT */
/* Built with -finstrument-functions: functions whose names in the file are not those of the source. */
namespace shop {
class Till {
  public:
    Till() : total(0)
    {
    }
    __attribute__((noinline)) int add(int price, const char *what);

  private:
    int total;
};

int Till::add(int price, const char *what)
{
    total += *what ? price : 0;
    return total;
}

template <typename Number> __attribute__((noinline)) Number twice(Number number)
{
    return number + number;
}
} // namespace shop

int main()
{
    shop::Till till;

    return till.add(shop::twice(21), "hat") == 42 ? 0 : 1;
}
