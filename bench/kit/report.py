"""Tables and verdicts in Markdown, and the document that holds them."""

import re
import statistics

from .subjects import NAMES

HEADING = ("connections", "subject", "requests/s", "x direct", "p50 ms", "p99 ms", "CPU µs/request", "x haproxy CPU",
           "peak RSS MiB")


def loads(results, cases, peaks):
    """The table of a workload: medians over the rounds, with the least and the most."""
    rows = []
    for case in cases:
        key = (case.tool, case.connections)
        for name in [name for name in NAMES if (name, *key) in results]:
            runs = results[name, *key]
            proxy = name in peaks
            rows.append([
                case.connections, name,
                spread([run["rps"] for run in runs], "{:,.0f}"),
                spread(ratios(results, key, "rps", name, "direct"), "{:.2f}"),
                spread([run["p50"] / 1000 for run in runs], "{:.2f}"),
                spread([run["p99"] / 1000 for run in runs], "{:.2f}"),
                spread([run["cpu"] for run in runs], "{:.0f}") if proxy else "–",
                spread(ratios(results, key, "cpu", name, "haproxy"), "{:.2f}") if proxy else "–",
                f"{peaks[name]:.0f}" if proxy else "–",
            ])
    return table(HEADING, rows)


def ratios(results, key, figure, name, other):
    """A figure as a multiple of another subject's, round by round; nothing if either was not measured."""
    pairs = zip(results.get((name, *key), ()), results.get((other, *key), ()))
    return [one[figure] / two[figure] for one, two in pairs]


def idles(results):
    rows = [[f"{one['count']:,}", name, f"{one['before'] / 1024:.1f}", f"{one['after'] / 1024:.1f}",
             f"{one['slope']:.1f}"] for name, one in results]
    return table(("streams", "subject", "RSS before MiB", "RSS after MiB", "KiB per session and stream"), rows)


def spread(values, form):
    if not values:
        return "–"
    middle = form.format(statistics.median(values))
    return f"{middle} [{form.format(min(values))}–{form.format(max(values))}]"


def table(heading, rows):
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


class Bounds:
    """What was promised, what was measured, and whether it holds: the median counts."""

    def __init__(self):
        self.rows = []

    def most(self, what, values, limit, form="{:.2f}"):
        self.add(what, f"≤ {form.format(limit)}", values, form, lambda middle: middle <= limit)

    def least(self, what, values, limit, form="{:.2f}"):
        self.add(what, f"≥ {form.format(limit)}", values, form, lambda middle: middle >= limit)

    def add(self, what, bound, values, form, holds):
        if values:
            verdict = "holds" if holds(statistics.median(values)) else "**does not hold**"
            self.rows.append([what, bound, spread(values, form) if len(values) > 1 else form.format(values[0]), verdict])

    def table(self):
        return table(("bound", "promised", "measured", "verdict"), self.rows)


def update(file, sections):
    """Puts each section into its place in a document, between `<!-- bench NAME -->` and `<!-- end -->`."""
    text = file.read_text()
    for name, body in sections.items():
        place = re.compile(rf"(<!-- bench {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        if len(place.findall(text)) != 1:
            raise SystemExit(f"error: `{file}` has no single place for `{name}`")
        text = place.sub(lambda found: f"{found[1]}{body}\n{found[2]}", text)
    file.write_text(text)
