# SPDX-License-Identifier: MIT
#
# The result of one load of bench_drain: what the recorder's summary says of its drain, then what the load says of
# itself. $figures, $summary: arrays of one object each; $targets: {ROW: [TARGET, LIMIT]}. What the recorder does not say is
# null.

def scaled($factor): if . == null then null else . * $factor end;
def per_second($duration): if . == null or $duration == 0 then null else . / $duration end;
def figure($name; $unit; $value): {$name, $unit, median: $value, minimum: $value};

$summary[0] as $summary | $summary.drain as $drain | $summary.duration_s as $duration
| {version: 1, benchmark: "drain", rows: ([
    figure("latency, P50"; "us"; $drain.latency_us.p50),
    figure("latency, P90"; "us"; $drain.latency_us.p90),
    figure("latency, P99"; "us"; $drain.latency_us.p99),
    figure("latency, longest"; "us"; $drain.latency_us.max),
    figure("collector CPU"; "% of a core"; $drain.cpu_s | per_second($duration) | scaled(100)),
    figure("fairness (Jain)"; "%"; $drain.jain | scaled(100)),
    figure("throughput"; "M events/s"; $summary.events.in_file | per_second($duration) | scaled(1e-6)),
    figure("lost"; "events"; $summary.events | .attempted - .in_file),
    figure("wake-ups"; "1/s"; $drain.wakeups | per_second($duration)),
    figure("threads visited"; "1/s"; $drain.threads_visited | per_second($duration)),
    figure("threads skipped"; "1/s"; $drain.threads_skipped | per_second($duration))
  ] + $figures[0].rows)}
| .rows |= map(. as $row | $targets[$row.name] as $target
               | if $target then $row + {target: $target[0], limit: $target[1]} else $row end)
