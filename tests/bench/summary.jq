# SPDX-License-Identifier: MIT
#
# From the figures of all runs (objects of bench_report_print(), with `variant` and `run`) to one object: for each row
# the median over the runs of its median and of its ratio, the smallest minimum, and the spread of the medians.
# Then the ratios between programs, which take neighbours in time: run by run, and the median of those. A row whose
# median is null was not measured (the recorder at hand does not say it): it keeps its target, which is neither met nor missed.

def median: map(values) | sort | if length == 0 then null elif length % 2 == 1 then .[length / 2 | floor]
    else (.[length / 2 - 1] + .[length / 2]) / 2 end;

def key: "\(.benchmark)/\(.variant)/\(.name)";

def is_met:
    if .target == null or .median == null then null
    else {"median <=": (.median <= .limit), "median >=": (.median >= .limit),
          "ratio <=": (.ratio != null and .ratio <= .limit), "ratio >=": (.ratio != null and .ratio >= .limit)}[.target]
    end;

# ratio_of(NAME; row A; row B; TARGET; LIMIT): A / B.
def ratio_of($rows; $name; $a; $b; $target; $limit):
    [$rows[] | select(key == $a)] as $left | [$rows[] | select(key == $b)] as $right
    | [$left[] as $l | $right[] | select(.run == $l.run and .median != null and .median != 0 and $l.median != null)
       | $l.median / .median] as $ratios
    | select($ratios | length > 0)
    | {benchmark: "between programs", variant: "", $name, unit: "ratio", median: ($ratios | median), minimum: ($ratios | min),
       low: ($ratios | min), high: ($ratios | max), runs: ($ratios | length)}
    | if $target then . + {$target, $limit} | . + {met: is_met} else . end;

# The targets are for traces on a disk.
[.[] as $o | $o.rows[] | if $o.variant == "file in memory" then del(.target, .limit, .met) else . end
 | . + {benchmark: $o.benchmark, variant: $o.variant, run: $o.run}] as $rows
| [$rows | group_by(key)[] | . as $all
   | .[0] | {benchmark, variant, name, unit, reference, target, limit}
     + {median: ([$all[].median] | median), minimum: ([$all[].minimum] | min), ratio: ([$all[].ratio | numbers] | median),
        low: ([$all[].median] | min), high: ([$all[].median] | max), runs: ($all | length)}
   | . + {met: is_met} | with_entries(select(.value != null))] as $summary
# Rows in the order in which the programs printed them.
| (reduce $rows[] as $row ([]; ($row | key) as $k | if index([$k]) then . else . + [$k] end)) as $order
| {version: 1, machine: ($machine + {runs: ([$rows[].run] | max)}),
   rows: ([$order[] as $k | $summary[] | select(key == $k)]
          + [ratio_of($rows; "event / LTTng-UST, 1 M/s"; "event//event"; "peer-lttng//LTTng-UST"; "median <="; 0.2),
             ratio_of($rows; "event / LTTng-UST, flat out"; "event//event, flat out"; "peer-lttng//LTTng-UST, flat out"; "median <="; 0.2),
             ratio_of($rows; "event with three fields / LTTng-UST, 1 M/s"; "event//event with three fields"; "peer-lttng//LTTng-UST"; null; null),
             ratio_of($rows; "event / DPDK trace, 1 M/s"; "event//event"; "peer-dpdk//DPDK trace"; null; null),
             ratio_of($rows; "event / DPDK trace, flat out"; "event//event, flat out"; "peer-dpdk//DPDK trace, flat out"; null; null),
             ratio_of($rows; "function entry + exit / uftrace, 1 M/s";
                      "functions-adatrace//function entry + exit, adatrace";
                      "functions-uftrace//function entry + exit, uftrace"; "median <="; 0.3334),
             ratio_of($rows; "function entry + exit / uftrace, flat out";
                      "functions-adatrace//function entry + exit, adatrace, flat out";
                      "functions-uftrace//function entry + exit, uftrace, flat out"; "median <="; 0.3334),
             ratio_of($rows; "collector CPU, with 4,080 idle threads / without";
                      "drain/16 threads, 1 M/s, and 4,080 idle/collector CPU";
                      "drain/16 threads, 1 M/s/collector CPU"; "median <="; 1.5),
             ratio_of($rows; "latency, P50, with 4,080 idle threads / without";
                      "drain/16 threads, 1 M/s, and 4,080 idle/latency, P50";
                      "drain/16 threads, 1 M/s/latency, P50"; null; null),
             ratio_of($rows; "latency, P99, with 4,080 idle threads / without";
                      "drain/16 threads, 1 M/s, and 4,080 idle/latency, P99";
                      "drain/16 threads, 1 M/s/latency, P99"; null; null)])}
