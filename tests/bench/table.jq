# SPDX-License-Identifier: MIT
# The summary as Markdown: first the targets, then a table for each benchmark.

def number:
    if . == null then ""
    elif . >= 1000000 then (. | round | tostring)
    else (. * 100 | round / 100 | if . == 0 then 0 else . end | tostring) # no "-0"
    end;
def row: "| \(join(" | ")) |";
def title: if .variant == "" then .benchmark else "\(.benchmark), \(.variant)" end;
def ratio: if .ratio then "\(.ratio | number) x \(.reference)" else "" end;
def verdict: if .met then "met" else "**missed**" end;

"\(.machine.cpu), \(.machine.cores) cores, Linux \(.machine.kernel), \(.machine.date), "
+ "load \(.machine.load) at the start; \(.machine.runs) runs.",
"",
(["what", "target", "measured", ""] | row),
(["---", "---", "---", "---"] | row),
(.rows[] | select(.target)
 | ["\(.name) (\(title))", "\(.target) \(.limit | number)",
    (if .target | startswith("ratio") then ratio else "\(.median | number) \(.unit)" end), verdict]
 | row),
(.rows as $rows
 | (reduce $rows[] as $row ([]; ($row | title) as $title | if index([$title]) then . else . + [$title] end))[]
     as $title
 | [$rows[] | select(title == $title)] as $group
 | "",
   "**\($title)**",
   "",
   (["what", "unit", "median", "min", "medians of the runs", "ratio"] | row),
   (["---", "---", "---:", "---:", "---:", "---"] | row),
   ($group[]
    | [.name, .unit, (.median | number), (.minimum | number), "\(.low | number) – \(.high | number)", ratio]
    | row))
