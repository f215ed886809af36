import Configuration
import Files
import Foundation
import Reporting

/// A page that compares groups of runs: a table, each run's figures as points beside mean and deviation, curves over tokens.
package struct ComparisonPage: Sendable {
  private let comparison: RunComparison
  private let title: String

  package init(_ comparison: RunComparison, title: String) {
    (self.comparison, self.title) = (comparison, title)
  }

  /// Writes the page.
  package func write(to path: String) throws(FileError) {
    let page = DrawnPage(
      data: json.text, title: "Comparison: \(title)", script: Self.script)
    try AtomicFile.write(Data(page.html.utf8), to: path)
  }

  /// What the script draws.
  var json: JSONValue {
    guard case .object(var fields) = comparison.json else { return comparison.json }
    fields["version"] = .string(Release.version)
    fields["title"] = .string(title)
    fields["measures"] = .array(
      comparison.measures.map {
        ["key": .string($0.key), "title": .string($0.title), "count": .bool($0.isCount)]
      })
    fields["curves"] = .array(
      comparison.records.map { runs in
        ["loss": Self.losses(runs), "held": Self.evaluations(runs)]
      })
    return .object(fields)
  }

  /// The loss of a group over the steps that all of its runs have done: mean, least and most of the runs.
  private static func losses(_ runs: [RunRecord]) -> JSONValue {
    let steps = runs.map(\.steps.count).min() ?? 0
    let bins = Bins(steps, most: 200)
    let values = runs.map { bins.means($0.steps.prefix(steps).map(\.loss)) }
    let numbers = bins.ranges.map { runs[0].steps[$0.upperBound - 1].number }
    return curve(numbers, values, tokensPerStep: runs.first?.start?.tokensPerStep ?? 0)
  }

  /// The held-out loss of a group where all of its runs were evaluated.
  private static func evaluations(_ runs: [RunRecord]) -> JSONValue {
    let losses = runs.map { run in
      Dictionary(run.evaluations.map { ($0.step, $0.loss) }) { $1 }
    }
    let steps = (losses.first ?? [:]).keys.filter { step in
      losses.allSatisfy { $0[step]?.isFinite == true }
    }.sorted()
    return curve(
      steps, losses.map { run in steps.map { run[$0] ?? .nan } },
      tokensPerStep: runs.first?.start?.tokensPerStep ?? 0)
  }

  private static func curve(
    _ steps: [Int], _ runs: [[Double]], tokensPerStep: Int
  ) -> JSONValue {
    func list(_ value: ([Double]) -> Double) -> JSONValue {
      .array(
        steps.indices.map { index in
          let values = runs.map { $0[index] }.filter(\.isFinite)
          let result = values.isEmpty ? .nan : value(values)
          return result.isFinite ? .number(Double(String(format: "%.5g", result)) ?? result) : .null
        })
    }
    return [
      "tokens": .array(steps.map { .integer($0 * tokensPerStep) }),
      "mean": list { $0.reduce(0, +) / Double($0.count) },
      "least": list { $0.min() ?? .nan }, "most": list { $0.max() ?? .nan },
    ]
  }

  private static let script = #"""
    // A row a group: each run a point, and mean ± deviation as a line.
    function rows(measure, isBig) {
      const text = measure.count ? count : measure.key.startsWith("recall") ? percent : digits;
      const groups = data.groups.filter(group => group[measure.key]);
      if (!groups.length) return null;
      const figure = make("figure", isBig ? { class: "big" } : {}, make("figcaption", {}, names[measure.key] || measure.title));
      const place = make("div"); figure.append(place);
      figure.draw = () => {
        const width = Math.max(260, figure.clientWidth - 18), isNarrow = width < 500;
        const longest = Math.max(...groups.map(group => group.name.length));
        const left = Math.min(isNarrow ? 100 : 220, 12 + 6.5 * longest), right = 70, row = 26, top = 6, bottom = 22;
        const height = groups.length * row + top + bottom;
        const values = groups.flatMap(group => {
          const { mean, sd } = group[measure.key];
          return [...group.runs.map(run => run[measure.key]).filter(v => v !== null), mean - (sd || 0), mean + (sd || 0)];
        });
        let [x0, x1] = [Math.min(...values), Math.max(...values)];
        const pad = (x1 - x0) * 0.06 || Math.abs(x1) * 0.05 || 1;
        x0 -= pad; x1 += pad;
        const X = v => left + (v - x0) / (x1 - x0) * (width - left - right);
        const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": measure.title });
        for (const tick of ticks(x0, x1, isNarrow ? 3 : 6)) svg.append(
          make("path", { class: "grid", d: `M${X(tick).toFixed(1)} ${top}V${height - bottom}` }),
          make("text", { x: X(tick).toFixed(1), y: height - 6, "text-anchor": "middle" }, text(tick)));
        groups.forEach((group, index) => {
          const y = top + (index + 0.5) * row, { mean, sd } = group[measure.key];
          const most = Math.floor((left - 10) / 6.2);
          const name = group.name.length > most ? group.name.slice(0, Math.max(3, most - 1)) + "…" : group.name;
          const mark = make("g", { class: hue(data.groups.indexOf(group)) });
          mark.append(make("path", { class: "line", d: `M${X(mean - (sd || 0)).toFixed(1)} ${y}H${X(mean + (sd || 0)).toFixed(1)}` }),
            make("path", { class: "line", d: `M${X(mean).toFixed(1)} ${y - 7}V${y + 7}` }));
          for (const run of group.runs) {
            if (run[measure.key] === null) continue;
            const point = make("circle", { class: "mark", cx: X(run[measure.key]).toFixed(1), cy: y, r: 3.5 });
            const note = document.createElementNS(space, "title");
            note.textContent = `${run.name}: ${text(run[measure.key])}`;
            point.append(note);
            mark.append(point);
          }
          svg.append(make("text", { x: left - 8, y, dy: "0.34em", "text-anchor": "end" }, name), mark,
            make("text", { x: width - 4, y, dy: "0.34em", "text-anchor": "end" }, text(mean)));
        });
        place.replaceChildren(svg);
      };
      return figure;
    }
    const names = { held_out_loss: "Held-out loss, nats a token", bits_per_byte: "Held-out bits a byte", perplexity: "Held-out perplexity",
      recall_inside: "Right answers within the question's shard", recall_crossing: "Right answers from an earlier rank's shard",
      tokens_per_second: "Tokens a second", parameters: "Parameters", tokens: "Tokens of training" };
    function cell(spread, measure) {
      if (!spread) return "–";
      const text = measure.count ? count : measure.key.startsWith("recall") ? percent : digits;
      if (spread.sd === null || measure.count && spread.sd < 0.005 * spread.mean) return text(spread.mean);
      return `${text(spread.mean)} ± ${measure.count ? percent(spread.sd / spread.mean) : text(spread.sd)}`;
    }
    function render() {
      const groups = data.groups, page = document.getElementById("page");
      const axis = { title: "tokens", text: value => count(value) };
      const lines = kind => groups.map((group, i) => {
        const curve = data.curves[i][kind];
        return { name: group.name, hue: hue(i), x: curve.tokens, y: curve.mean, least: curve.least, most: curve.most, marks: kind === "held" };
      });
      const box = make("input", { type: "checkbox" });
      box.checked = choice.log;
      box.addEventListener("change", () => { choice.log = box.checked; render(); });
      const heads = [...(data.by.length ? data.by : ["runs"]), { n: "runs" }, ...data.measures.map(measure => ({ n: measure.title }))];
      const runs = groups.flatMap((group, i) => group.runs.map(run => [make("td", { class: hue(i) }, make("span", { class: "dot" }), run.name),
        make("td", {}, make("span", { class: "state" }, run.state)), run.steps && run.steps !== run.steps_done ? `${run.steps_done} of ${run.steps}` : run.steps_done,
        ...data.measures.map(measure => run[measure.key] === null ? "–" : (measure.count ? count : measure.key.startsWith("recall") ? percent : digits)(run[measure.key])),
        duration(run.seconds)]));
      const compared = data.measures.filter(measure => !["parameters", "tokens"].includes(measure.key));
      page.replaceChildren(...[
        make("h1", {}, data.title),
        make("p", {}, `${groups.reduce((sum, group) => sum + group.runs.length, 0)} runs in ${groups.length} groups` +
          (data.by.length ? ` by ${data.by.join(", ")}` : "") + ": mean ± standard deviation over the runs of a group."),
        table(heads, groups.map((group, i) => [
          make("td", { class: hue(i) }, make("span", { class: "dot" }), data.by.length ? group.keys[data.by[0]] : group.name),
          ...data.by.slice(1).map(key => group.keys[key]),
          group.finished === group.runs.length ? group.runs.length : `${group.finished} of ${group.runs.length}`,
          ...data.measures.map(measure => cell(group[measure.key], measure))]), { class: "runs" }),
        data.notes.map(note => make("p", { class: "facts warning" }, note)),
        section("Figures", "Each run is a point; the line is its group's mean ± standard deviation.", compared.map(measure => rows(measure, compared.length === 1))),
        make("div", { class: "controls" }, make("label", {}, box, "logarithmic")),
        section("Curves", "Mean of a group's runs; the band is their least and most, as far as all runs of the group are.", [
          chart("Held-out loss", lines("held"), { big: true, log: true, axis, note: "nats a token", keys: true }),
          chart("Loss", lines("loss"), { big: true, log: true, robust: true, axis, note: "nats a token", keys: true })]),
        make("h2", {}, "Runs"),
        table(["run", "state", { n: "steps" }, ...data.measures.map(measure => ({ n: measure.title })), { n: "time" }], runs, { class: "runs" }),
        make("p", { class: "facts" }, `lasp-train ${data.version}`),
      ].flat(2).filter(child => child));
      redraw();
    }
    render();
    """#
}
