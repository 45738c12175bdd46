# SPDX-License-Identifier: MIT
# The summary as Markdown: first the targets, then a table for each benchmark; one for all loads of the drain, whose
# rows are its columns.

def number:
    if . == null then ""
    elif . >= 1000000 then (. | round | tostring)
    else (. * 100 | round / 100 | if . == 0 then 0 else . end | tostring) # no "-0"
    end;
def row: "| \(join(" | ")) |";
def title: if .variant == "" then .benchmark else "\(.benchmark), \(.variant)" end;
def ratio: if .ratio then "\(.ratio | number) x \(.reference)" else "" end;
def verdict: if .met == null then "not measured" elif .met then "met" else "**missed**" end;

# A load's figure, with its spread over the runs where there is one.
def figure($rows; $name): [$rows[] | select(.name == $name and .median != null)]
    | if length == 0 then ""
      else .[0] | if .low == .high then (.median | number) else "\(.median | number) (\(.low | number) – \(.high | number))" end
      end;

def drain_columns: [
    ["latency, P50", "us"], ["latency, P90", "us"], ["latency, P99", "us"], ["latency, longest", "us"],
    ["collector CPU", "%"], ["fairness (Jain)", "%"], ["throughput", "M events/s"], ["lost", "events"],
    ["wake-ups", "1/s"], ["threads visited", "1/s"], ["threads skipped", "1/s"],
    ["load behind its schedule, P99", "us"]];

def drain_table: drain_columns as $columns
    | [.[] | select(.benchmark == "drain")] as $rows
    | select($rows | length > 0)
    | "",
      "**drain**",
      "",
      (["load"] + [$columns[] | join(", ")] | row),
      (["---"] + [$columns[] | "---:"] | row),
      ((reduce $rows[] as $row ([]; if index([$row.variant]) then . else . + [$row.variant] end))[] as $load
       | [$rows[] | select(.variant == $load)] as $mine
       | [$load] + [$columns[] as $column | figure($mine; $column[0])] | row);

"\(.machine.cpu), \(.machine.cores) cores, Linux \(.machine.kernel), \(.machine.date), "
+ "load \(.machine.load) at the start; \(.machine.runs) runs.",
"",
(["what", "target", "measured", ""] | row),
(["---", "---", "---", "---"] | row),
(.rows[] | select(.target)
 | ["\(.name) (\(title))", "\(.target) \(.limit | number)",
    (if .median == null then "" elif .target | startswith("ratio") then ratio else "\(.median | number) \(.unit)" end),
    verdict]
 | row),
(.rows as $rows
   | (reduce ($rows[] | select(.benchmark != "drain")) as $row
        ([]; ($row | title) as $title | if index([$title]) then . else . + [$title] end))[] as $title
 | [$rows[] | select(title == $title)] as $group
 | "",
   "**\($title)**",
   "",
   (["what", "unit", "median", "min", "medians of the runs", "ratio"] | row),
   (["---", "---", "---:", "---:", "---:", "---"] | row),
   ($group[]
    | [.name, .unit, (.median | number), (.minimum | number), "\(.low | number) – \(.high | number)", ratio]
    | row)),
(.rows | drain_table)
