#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# libadatrace-preload: programs that know nothing of adatrace do exactly the same with the library as
# without, and what they call is in the trace.
#   test_preload.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

preload=$out/libadatrace-preload.so
all=io,lock,thread,memory

# run NAME COMMAND...: stdout, stderr and status into files. What the shell says of signals is dropped.
run() {
    local name=$work/$1
    shift
    (
        "$@" >"$name.out" 2>"$name.err" </dev/null
        echo $? >"$name.status"
    ) 2>/dev/null
}

# same NAME OTHER: what the two runs left is the same. After `record`, its summary follows on stderr.
same() {
    cmp "$work/$1.out" "$work/$2.out" &&
        cmp "$work/$1.err" <(head -c "$(stat -c %s "$work/$1.err")" "$work/$2.err") &&
        equal "$(cat "$work/$2.status")" "$(cat "$work/$1.status")"
}

record() {
    "$out/adatrace" record --policy block --preload "$groups" --detail always -o "$work/trace.adat" -- "$@"
}

# Arguments are unsigned; -errno is made negative here, as jq's numbers cannot tell it from its neighbours.
dump() {
    "$out/adatrace" dump --json "$work/trace.adat" | awk '
        /"kind":"anomaly"/ { next } # of the recorder itself
        match($0, /"arg":184467440737095[0-9][0-9][0-9][0-9][0-9]/) {
            $0 = substr($0, 1, RSTART + 5) (substr($0, RSTART + 21, 5) - 51616) substr($0, RSTART + RLENGTH)
        }
        { print }'
}

# Spans of each thread end innermost first. What a thread was in when the process ended stays open. Members come in a fixed order, and
# awk takes an eighth of jq's time.
balanced() {
    dump | awk -F'"' '
        { thread = $5 $7; kind = $14; name = $18 }
        kind == "span_begin" { stack[thread, depth[thread]++] = name; spans++ }
        kind == "span_end" && (depth[thread] == 0 || stack[thread, --depth[thread]] != name) { print; bad = 1; exit }
        END { exit bad || spans == 0 }'
}

nothing_dropped() {
    "$out/adatrace" info --json "$work/trace.adat" | jq -e '
        .events.attempted > 0 and .events.in_file == .events.attempted and
            ([.processes[].unregistered.attempted] | add) == 0' >/dev/null ||
        { "$out/adatrace" info "$work/trace.adat"; return 1; }
}

# transparent NAME COMMAND...: the same without the library, with it preloaded, and recorded, by group.
transparent() {
    local name=$1
    shift
    run plain "$@"
    if [ "$(cat "$work/plain.status")" -ge 126 ] && [ "$(cat "$work/plain.status")" -le 127 ]; then
        echo "not ok - preload: $name: cannot run it: $(cat "$work/plain.err")"
        failed=1
        return
    fi
    run preloaded env LD_PRELOAD="$preload" ADATRACE_PRELOAD=$all "$@"
    check "preload: $name: unchanged when preloaded" same plain preloaded
    for groups in io lock thread memory $all; do
        rm -f "$work/trace.adat"
        run recorded record "$@"
        check "preload: $name: unchanged when recorded with $groups" same plain recorded
        check "preload: $name: the file of $groups verifies" "$out/adatrace" verify "$work/trace.adat"
    done
}

# ---- programs that check themselves ---------------------------------------------------------------

for name in io threads memory own_malloc signals processes cxx; do
    transparent "plain_$name" "$out/tests/plain_$name"
    # The handler of plain_signals leaves calls and the recording of events by siglongjmp().
    if [ $name != signals ]; then
        check "preload: plain_$name: nothing is dropped" nothing_dropped
        check "preload: plain_$name: spans nest" balanced
    fi
done

# ---- what is recorded -----------------------------------------------------------------------------

# matching FILTER: how many events of the dump it selects.
matching() {
    dump | jq -n "[inputs | select($1)] | length"
}

has_names() {
    local missing
    missing=$(comm -13 <(dump | awk -F'"' '{ print $18 }' | sort -u) <(tr ' ' '\n' <<<"$*" | sort -u))
    [ -z "$missing" ] || { echo "missing: ${missing//$'\n'/ }"; return 1; }
}

groups=io
rm -f "$work/trace.adat"
run recorded record "$out/tests/plain_io"
check 'preload: io: every function that plain_io calls' has_names \
    open openat creat close read write pread pwrite readv writev preadv pwritev preadv2 pwritev2 \
    sendfile copy_file_range splice fsync fdatasync poll ppoll select pselect epoll_wait epoll_pwait \
    send recv sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg connect accept accept4 epoll_pwait2 \
    open.path connect.address
check 'preload: io: a failed read ends with its errno' \
    equal "$(matching '.kind == "span_end" and .name == "read" and .arg == -9')" 1
check 'preload: io: the path of a file that is not there' \
    equal "$(matching '.name == "open.path" and .arg == -2 and .fields.path == "none/x"')" 1
check 'preload: io: the address of a refused connection' \
    equal "$(matching '.name == "connect.address" and .arg == -111 and .fields.address == "127.0.0.1:1"')" 1
check 'preload: io: addresses of every family' equal \
    "$(dump | jq -r 'select(.name == "connect.address").fields.address' | sort -u)" \
    "$(printf '%s\n' 127.0.0.1:1 '[2001:db8:0:0:0:0:0:1]:0' 'family 0' unix:@nobody unix:socket \
        "unix:$(printf 'x%.0s' {1..108})" | sort)"
check 'preload: io: twins appear under the plain names' \
    equal "$(dump | jq -r .name | grep -cE '64|_chk|_2$')" 0

rm -f "$work/trace.adat"
run recorded record "$out/tests/plain_signals"
# A handler that jumps out in the instant between two rings costs the thread its lane; then all is counted.
recorded_or_counted() {
    local found lost
    found=$(matching '.kind == "span_end" and .name == "fsync" and .arg == -9')
    lost=$("$out/adatrace" info --json "$work/trace.adat" | jq .events.dropped_nested)
    [ "$found" = 1 ] || [ "$lost" -gt 0 ] || { echo "$found recorded, $lost counted"; return 1; }
}
check 'preload: io: a thread is still recorded, or counted, after its handlers left by siglongjmp()' recorded_or_counted

groups=lock,thread
rm -f "$work/trace.adat"
run recorded record "$out/tests/plain_threads"
check 'preload: lock, thread: every function that plain_threads calls' has_names \
    pthread_mutex_lock pthread_mutex_trylock pthread_mutex_timedlock pthread_mutex_clocklock \
    pthread_mutex_unlock pthread_cond_wait pthread_cond_timedwait pthread_cond_clockwait \
    pthread_cond_signal pthread_cond_broadcast pthread_rwlock_rdlock pthread_rwlock_tryrdlock \
    pthread_rwlock_trywrlock pthread_rwlock_timedwrlock pthread_rwlock_unlock pthread_rwlock_wrlock \
    pthread_rwlock_timedrdlock pthread_rwlock_clockrdlock pthread_rwlock_clockwrlock sem_trywait \
    sem_timedwait sem_clockwait sem_post sem_wait pthread_barrier_wait pthread_spin_lock \
    pthread_spin_trylock pthread_spin_unlock pthread_create pthread_join pthread_tryjoin_np \
    pthread_timedjoin_np pthread_clockjoin_np pthread_exit pthread_detach pthread_setname_np thrd_create \
    thrd_join sched_yield usleep sleep nanosleep clock_nanosleep thread_start thread_exit
check 'preload: thread: each created thread starts' \
    equal "$(matching '.name == "thread_start"')" \
    "$(matching '.kind == "span_end" and .arg == 0 and (.name == "pthread_create" or .name == "thrd_create")')"
# The last one ends the process and not itself.
check 'preload: thread: each but the last one ends, however it ends' \
    equal "$(matching '.name == "thread_exit"')" $(($(matching '.name == "thread_start"') - 1))
check 'preload: thread: a thread knows its creator' \
    equal "$(dump | jq -n '[inputs] | (map(.tid) | unique) as $all | map(select(.name == "thread_start")) |
        length > 0 and all(.arg as $creator | $all | index($creator))')" true
# Cancelled asynchronously, a thread may be within a call, or between two.
check 'preload: thread: cancelled calls end with ECANCELED' \
    equal "$(matching '.kind == "span_end" and .arg == -125 and .name != "pthread_spin_trylock"')" 3
check 'preload: thread: names are told' \
    equal "$("$out/adatrace" info --json "$work/trace.adat" |
        jq '[.. | .name? // empty] | index("plain-worker") != null')" true

groups=$all
rm -f "$work/trace.adat"
run recorded record "$out/tests/plain_processes"
check 'preload: each process that made a call is there, with its exit status' \
    equal "$("$out/adatrace" info --json "$work/trace.adat" | jq -c '[.processes[].exit_status] | sort')" \
    '[9,29,41,42,43,43,55,55]'

groups=memory
rm -f "$work/trace.adat"
run recorded record "$out/tests/plain_memory"
check 'preload: memory: every function that plain_memory calls' has_names \
    malloc calloc realloc reallocarray free aligned_alloc memalign posix_memalign mmap mremap madvise \
    munmap
check 'preload: groups that were not asked for stay out' equal "$(matching '.name == "pthread_create"')" 0

# ---- every thread is there --------------------------------------------------------------------------

# The threads and processes that strace saw of the recorded program: what descends from the recorder's first
# child that is not a thread of its own.
seen_by_strace() {
    awk '
        # A call may be cut in two; its flags stand in the first half.
        { line = $0; pid = $1 }
        /<unfinished \.\.\.>/ { half[pid] = line; next }
        /resumed>/ { line = half[pid] line }
        NR == 1 { recorder = pid }
        line ~ /(clone3?|v?fork)\(/ && match(line, /= [0-9]+( |$)/) {
            tid = substr(line, RSTART + 2) + 0
            parent[tid] = pid
            if (pid == recorder && !root && line !~ /CLONE_THREAD/)
                root = tid
        }
        END {
            for (tid in parent) {
                for (ancestor = tid; ancestor in parent && ancestor != root;)
                    ancestor = parent[ancestor]
                if (ancestor == root)
                    print tid
            }
        }' "$1" | sort
}

# all_threads AT_LEAST COMMAND...
all_threads() {
    local groups=$all at_least=$1 missing
    shift
    rm -f "$work/trace.adat"
    strace -f -q -o "$work/strace" -e trace=clone,clone3,fork,vfork -e signal=none \
        "$out/adatrace" record --policy block --preload "$groups" -o "$work/trace.adat" -- "$@" >/dev/null 2>&1
    seen_by_strace "$work/strace" >"$work/seen"
    [ "$(wc -l <"$work/seen")" -ge "$at_least" ] || { echo "strace saw too few"; return 1; }
    missing=$("$out/adatrace" info --json "$work/trace.adat" | jq -r '.. | .tid? // empty' | sort -u |
        comm -13 - "$work/seen")
    [ -z "$missing" ] || { echo "missing of $(wc -l <"$work/seen"): ${missing//$'\n'/ }"; return 1; }
}

seq 1 400000 >"$work/big"
if strace -q -o /dev/null true 2>/dev/null; then
    check 'preload: every thread of plain_threads is in the trace' \
        all_threads 16 "$out/tests/plain_threads"
    check 'preload: every thread of xz is in the trace' all_threads 3 xz -T2 -1 --block-size=300KiB -c "$work/big"
else
    echo "SKIP preload threads: strace cannot trace here"
fi

# ---- programs of the system -------------------------------------------------------------------------

# real NAME PROGRAM COMMAND...: as transparent(), where PROGRAM is installed.
real() {
    local name=$1
    if ! command -v "$2" >/dev/null; then
        echo "SKIP preload $name: $2 is not installed"
        return
    fi
    shift 2
    transparent "$name" "$@"
}

mkdir "$work/tree"
split -n 20 "$work/big" "$work/tree/part."
real 'xz with threads' xz xz -T2 -6 --block-size=300KiB -c "$work/big"
real 'sort with threads' sort sort -r --parallel=4 -S 2M "$work/big"
real 'tar and gzip' tar bash -c "set -o pipefail; cd '$work' && tar cf - tree | gzip -n | gzip -dc | tar tf -; exit 4"
real 'a pipeline of the shell' grep bash -c 'for i in 1 2 3; do seq 1 5000 | grep $i | wc -l; done; kill -TERM $$'
real 'perl' perl perl -e 'my %h; $h{$_ % 97} .= $_ for 1..50000; print length(join "", map {$h{$_}} sort keys %h), "\n";
    open(my $f, "<", "/none") or print "no: $!\n"; print STDERR "done\n"; exit 7'
real 'python with threads' python3 python3 -c '
import hashlib, queue, subprocess, threading
jobs, done = queue.Queue(), []
def work():
    while (job := jobs.get()) is not None:
        done.append((job, hashlib.sha256(b"x" * job).hexdigest()))
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for job in range(500): jobs.put(job)
for _ in threads: jobs.put(None)
for thread in threads: thread.join()
print(hash(tuple(d[0] for d in sorted(done))), sorted(done)[-1])
print(subprocess.run(["sh", "-c", "echo child; exit 3"], capture_output=True))
raise SystemExit(11)'

# ---- other libraries in front of libc -----------------------------------------------------------------

for allocator in libjemalloc.so.2 libtcmalloc_minimal.so.4; do
    if [ -z "$(env LD_PRELOAD=$allocator true 2>&1)" ]; then
        run plain env LD_PRELOAD=$allocator "$out/tests/plain_threads"
        run preloaded env LD_PRELOAD="$preload $allocator" ADATRACE_PRELOAD=$all "$out/tests/plain_threads"
        check "preload: with $allocator" same plain preloaded
    else
        echo "SKIP preload $allocator: not installed"
    fi
done

# Constructors that run before ours use everything at once: the library loaded last is initialized first. And its
# dlsym() allocates memory, as that of older C libraries does, when malloc() is not resolved yet.
cat >"$work/early.c" <<'SOURCE'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *kept;

void *dlsym(void *handle, const char *name)
{
    void *(*real)(void *, const char *) = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    char *block = calloc(3, 20);

    if (!block || block[0] || block[59])
        _exit(91);
    free(kept);
    kept = realloc(malloc(10), 20);
    strcpy(block, "kept");
    free(kept);
    kept = block;
    return real ? real(handle, name) : NULL;
}

static void *thread(void *argument)
{
    return realloc(argument, 1000);
}

__attribute__((constructor)) static void early(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_t id;
    void *block = calloc(10, 10);
    int fd = open("/dev/null", O_RDWR);

    if (kept && (!(kept = realloc(kept, 100000)) || strcmp(kept, "kept") != 0))
        _exit(92);
    free(kept);
    pthread_mutex_lock(&mutex);
    if (pthread_create(&id, NULL, thread, block) != 0 || pthread_join(id, &block) != 0 || write(fd, "x", 1) != 1)
        _exit(90);
    pthread_mutex_unlock(&mutex);
    free(block);
    printf("early: fd %d, closed %d\n", fd, close(fd));
}
SOURCE
if ${CC:-cc} -shared -fPIC -o "$work/early.so" "$work/early.c" -pthread; then
    run plain env LD_PRELOAD="$work/early.so" "$out/tests/plain_memory"
    run preloaded env LD_PRELOAD="$preload $work/early.so" ADATRACE_PRELOAD=$all "$out/tests/plain_memory"
    check 'preload: constructors that run before ours' same plain preloaded
else
    echo "not ok - preload: constructors that run before ours: ${CC:-cc} cannot build their library"
    failed=1
fi

exit $failed
