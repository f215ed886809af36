extension ReportPage {
  /// What draws the page, with what `DrawnPage` has for all pages.
  ///
  /// Texts from files become text nodes, never markup.
  static let script = #"""
    const parts = [["compute", "var(--h0)"], ["state wait", "var(--h1)"], ["sums", "var(--h4)"],
      ["data", "var(--h3)"], ["unnamed", "var(--rule)"]];
    const partColours = { "projections": "var(--h0)", "recurrence": "var(--h5)", "attention": "var(--h2)",
      "norms and gates": "var(--h7)", "head": "var(--h6)", "embedding": "var(--h7)", "optimizer": "var(--h3)",
      "data": "var(--h3)", "state wait": "var(--h1)", "reduce": "var(--h4)", "other": "var(--rule)" };
    const isWide = () => data.runs.length === 1;

    // Shares of the time over the steps, one above the other.
    function stack(run, index) {
      const time = run.time;
      if (!time.step.length) return null;
      const figure = make("figure", isWide() ? { class: "big" } : {}, make("figcaption", {}, run.name));
      const all = time.seconds.reduce((a, b) => a + b, 0);
      const total = name => time[name].reduce((sum, v, i) => sum + (v || 0) * time.seconds[i], 0) / all;
      figure.append(
        make("div", { class: "bar" }, parts.map(([name, colour]) =>
          make("span", { style: { background: colour, width: 100 * total(name) + "%" }, title: `${name} ${percent(total(name))}` }))),
        make("div", { class: "keys" }, parts.map(([name, colour]) => make("span", {},
          make("span", { class: "swatch", style: { background: colour } }), `${name} ${percent(total(name))}`))));
      const place = make("div"); figure.append(place);
      figure.draw = () => {
        const width = Math.max(260, figure.clientWidth - 18), height = 130, left = 40, bottom = 20, top = 4;
        const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "where the time went" });
        const n = time.step.length, X = i => left + i / n * (width - left - 6), Y = v => top + (1 - v) * (height - top - bottom);
        const base = time.step.map(() => 0);
        for (const [name, colour] of parts) {
          let path = "";
          time[name].forEach((v, i) => {
            const low = base[i]; base[i] = Math.min(1, low + Math.max(0, v || 0));
            path += `M${X(i).toFixed(1)} ${Y(low).toFixed(1)}V${Y(base[i]).toFixed(1)}H${(X(i + 1) + 0.2).toFixed(1)}V${Y(low).toFixed(1)}Z`;
          });
          svg.append(make("path", { d: path, style: { fill: colour } }));
        }
        for (const v of [0, 0.5, 1]) svg.append(make("text", { x: left - 5, y: Y(v), dy: "0.34em", "text-anchor": "end" }, 100 * v + " %"));
        for (const i of [0, n - 1]) svg.append(make("text", { x: i ? width - 6 : left, y: height - 5, "text-anchor": i ? "end" : "start" },
          "step " + count(time.step[i])));
        place.replaceChildren(svg);
      };
      return figure;
    }

    function shade(share) {
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      const from = dark ? [27, 32, 38] : [247, 248, 250], to = dark ? [255, 149, 80] : [176, 52, 0];
      const t = Math.pow(Math.min(1, Math.max(0, share)), 0.6);
      return from.map((v, i) => Math.round(v + (to[i] - v) * t));
    }
    // Ranks by steps: how much of the time each waits.
    function map(run) {
      const waits = run.waits, values = waits[choice.map], rows = values.length, columns = waits.from.length;
      if (!rows || !columns || run.ranks === 1) return null;
      const most = Math.max(...values.flat().map(v => v || 0));
      const figure = make("figure", isWide() ? { class: "big" } : {}, make("figcaption", {}, run.name,
        make("small", {}, `  most: ${percent(most)} of the time` + (waits.whole ? "" : "; the log has only a summary of the ranks"))));
      const place = make("div", { style: { position: "relative" } }); figure.append(place);
      const tip = make("div", { class: "tip", style: { display: "none" } });
      figure.draw = () => {
        const height = Math.max(rows * (rows > 32 ? 6 : rows > 8 ? 12 : 22), 40);
        const canvas = make("canvas", { width: columns, height: rows, style: { height: height + "px" } });
        const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
        values.forEach((row, r) => row.forEach((v, c) => {
          const [red, green, blue] = shade(most > 0 ? (v || 0) / Math.max(most, 0.01) : 0);
          image.data.set([red, green, blue, 255], 4 * (r * columns + c));
        }));
        context.putImageData(image, 0, 0);
        const labels = make("div", { style: { flex: "none", width: "62px", position: "relative", fontSize: "11px", color: "var(--soft)" } });
        const stride = Math.ceil(13 / (height / rows));
        waits.rows.forEach((name, r) => {
          if (r % stride === 0) labels.append(make("div", { style: { position: "absolute", right: "6px", lineHeight: "13px",
            top: (r + 0.5) * height / rows - 6.5 + "px" } }, (waits.whole ? "rank " : "") + name));
        });
        canvas.addEventListener("pointermove", event => {
          const box = canvas.getBoundingClientRect();
          const c = Math.min(columns - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * columns)));
          const r = Math.min(rows - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * rows)));
          tip.textContent = `${waits.whole ? "rank " : ""}${waits.rows[r]}, step ${waits.from[c]}`
            + (waits.to[c] > waits.from[c] ? `–${waits.to[c]}` : "") + `: ${percent(values[r][c])}`;
          tip.style.display = "";
          const x = event.clientX - place.getBoundingClientRect().left;
          tip.style.left = (x > place.clientWidth / 2 ? x - tip.offsetWidth - 10 : x + 14) + "px";
          tip.style.top = Math.max(0, event.clientY - box.top - 30) + "px";
        });
        canvas.addEventListener("pointerleave", () => { tip.style.display = "none"; });
        const hold = make("div", { style: { flex: "1", minWidth: "0" } }, canvas);
        place.replaceChildren(make("div", { style: { display: "flex", height: height + "px" } }, labels, hold),
          make("div", { style: { display: "flex", justifyContent: "space-between", fontSize: "11px", color: "var(--soft)", paddingLeft: "62px" } },
            make("span", {}, "step " + count(waits.from[0])), make("span", {}, count(waits.to[columns - 1]))), tip);
      };
      return figure;
    }

    function lanes(run) {
      const trace = run.trace;
      if (!trace) return null;
      const figure = make("figure", { class: "big" }, make("figcaption", {}, `${run.name}, step ${trace.step}`,
        make("small", {}, `  ${digits(trace.ms)} ms; ${trace.path}`)));
      const used = new Set(trace.rows.flatMap(row => row.spans.map(span => span[2])));
      figure.append(make("div", { class: "keys" }, Object.keys(partColours).filter(name => used.has(name)).map(name =>
        make("span", {}, make("span", { class: "swatch", style: { background: partColours[name] } }), name))));
      const place = make("div"); figure.append(place);
      figure.draw = () => {
        const width = Math.max(260, figure.clientWidth - 18), left = width < 500 ? 46 : 110, row = trace.rows.length > 16 ? 10 : 20;
        const height = trace.rows.length * row + 4;
        const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "a step of all ranks" });
        trace.rows.forEach((lane, r) => {
          const y = r * row + 2, name = width < 500 ? lane.name.replace(/ \(.*/, "") : lane.name;
          if (row > 12 || r % 2 === 0) svg.append(make("text", { x: left - 5, y: y + row / 2, dy: "0.34em", "text-anchor": "end" },
            name.length > 18 ? name.slice(0, 17) + "…" : name));
          for (const [start, length, part] of lane.spans) {
            const rect = make("rect", { x: (left + start * (width - left - 4)).toFixed(1), y, height: row - 2,
              width: Math.max(0.4, length * (width - left - 4)).toFixed(1), style: { fill: partColours[part] || "var(--soft)" } });
            rect.append(document.createElementNS(space, "title"));
            rect.firstChild.textContent = `${part}, ${digits(length * trace.ms)} ms`;
            svg.append(rect);
          }
        });
        place.replaceChildren(svg);
      };
      return figure;
    }

    function overview(runs) {
      const held = run => run.evaluations[run.evaluations.length - 1];
      const last = list => { for (let i = list.length - 1; i >= 0; i--) if (list[i] !== null) return list[i]; return null; };
      return [
        table(["run", "state", { n: "steps" }, { n: "loss" }, { n: "held out" }, { n: "perplexity" }, { n: "bits a byte" },
          { n: "tokens/s" }, { n: "time" }, { n: "left" }, { n: "parameters" }, { n: "ranks" }],
        runs.map((run, i) => {
          const e = held(run), left = run.steps && run.done < run.steps && run.curves.speed.length && run.state === "running"
            ? (run.steps - run.done) * (run.seconds / Math.max(1, run.done)) : null;
          return [make("td", { class: hue(i) }, make("span", { class: "dot" }), run.name),
            make("td", {}, make("span", { class: "state" }, run.state)),
            run.steps ? `${run.done} of ${run.steps}` : String(run.done), digits(last(run.curves.loss)), e ? digits(e.loss) : "–",
            e && e.perplexity !== undefined ? digits(e.perplexity) : "–", e && e.bits_per_byte !== undefined ? digits(e.bits_per_byte) : "–",
            count(run.speed), duration(run.seconds), left === null ? "–" : duration(left),
            run.parameters === undefined ? "–" : count(run.parameters), run.ranks === undefined ? "–" : run.ranks];
        }), { class: "runs" }),
        runs.map((run, i) => run.facts ? make("p", { class: "facts" },
          make("b", { class: hue(i) }, run.name), ": " + run.facts.join("; ")) : null),
        runs.filter(run => run.odd).map(run => make("p", { class: "facts warning" }, `${run.name}: ${run.odd} lines of its log are no events`)),
      ].flat();
    }

    function controls() {
      const pick = (key, options) => {
        const select = make("select", {}, options.map(([value, name]) => make("option", { value }, name)));
        select.value = String(choice[key]);
        select.addEventListener("change", () => { choice[key] = key === "smooth" ? Number(select.value) : select.value; render(); });
        return select;
      };
      const box = make("input", { type: "checkbox" });
      box.checked = choice.log;
      box.addEventListener("change", () => { choice.log = box.checked; render(); });
      return make("div", { class: "controls" },
        make("label", {}, "over", pick("x", [["step", "steps"], ["tokens", "tokens"], ["seconds", "time"]])),
        make("label", {}, "smoothed", pick("smooth", [[0, "not"], [3, "a little"], [12, "much"]])),
        make("label", {}, box, "logarithmic"));
    }

    function render() {
      const runs = data.runs, page = document.getElementById("page");
      const xs = run => run.curves.step.map((_, i) => axes[choice.x].of(run.curves, i));
      const line = (key, more) => runs.map((run, i) => Object.assign({ name: run.name, hue: hue(i), x: xs(run),
        y: smoothed(run.curves[key] || [], choice.smooth) }, more ? more(run) : {}));
      // Where an evaluation stands on the axis: where the curve has that step.
      const at = (run, step) => {
        if (choice.x === "step" || !run.curves.step.length) return step;
        const i = run.curves.step.findIndex(s => s >= step);
        return xs(run)[i < 0 ? run.curves.step.length - 1 : i];
      };
      const held = (key, isLine) => runs.map((run, i) => ({ name: run.name + (isLine ? "" : ", held out"), hue: hue(i), marks: true, dashed: !isLine,
        x: run.evaluations.map(e => at(run, e.step)), y: run.evaluations.map(e => e[key] === undefined ? null : e[key]) }));
      const terms = [...new Set(runs.flatMap(run => Object.keys(run.curves.terms)))].sort();
      const figures = [
        chart("Loss", [...line("loss", run => choice.smooth ? {} : { least: run.curves.loss_least, most: run.curves.loss_most }), ...held("loss", false)],
          { big: true, log: true, robust: true, note: "nats a token; band: least and most of the steps of a point", keys: runs.length > 1 }),
        chart("Held-out loss", held("loss", true), { log: true, note: "nats a token" }),
        chart("Held-out perplexity", held("perplexity", true), { log: true }),
        chart("Held-out bits a byte", held("bits_per_byte", true), { log: true }),
        chart("Right answers within the question's shard", line("recall_inside"), { text: percent }),
        chart("Right answers from an earlier rank's shard", line("recall_crossing"), { text: percent }),
        chart("Gradient norm", line("grad_norm"), { log: true, robust: true }),
        chart("Learning rate", line("learning_rate"), { zero: true }),
        ...terms.map(name => chart(name, runs.map((run, i) => ({ name: run.name, hue: hue(i), x: xs(run), y: smoothed(run.curves.terms[name] || [], choice.smooth) })),
          { log: true, robust: true, note: "what it adds to the loss" })),
      ];
      const speed = [chart("Throughput", line("speed"), { zero: true, text: count, note: "tokens a second" }),
        chart("Operations", line("gigaflops"), { zero: true, note: "GFLOP/s of all ranks" })];
      const memory = runs.map((run, i) => chart(run.name, [
        { name: "most, rank " + run.memory.rank, hue: "h1", x: run.memory.step, y: run.memory.most },
        { name: "median rank", hue: "h0", x: run.memory.step, y: run.memory.median },
      ], { big: runs.length === 1, zero: true, binary: true, text: bytes, plan: run.memory.plan, axis: axes.step, keys: true,
        note: run.memory.plan ? "dashed: expected, " + bytes(run.memory.plan) : "no expectation in the log" }));
      const select = make("select", {}, make("option", { value: "state" }, "for states"), make("option", { value: "sums" }, "for sums of gradients, and weights"));
      select.value = choice.map;
      select.addEventListener("change", () => { choice.map = select.value; render(); });
      const maps = runs.map(map).filter(f => f);
      const notes = runs.flatMap(run => run.notes.map(note => [runs.length > 1 ? run.name : null, note]));
      const evaluations = runs.flatMap((run, i) => run.evaluations.map(e => [make("td", { class: hue(i) }, run.name), e.step, digits(e.loss),
        e.perplexity === undefined ? "–" : digits(e.perplexity), e.bits_per_byte === undefined ? "–" : digits(e.bits_per_byte),
        e.recall_inside === undefined ? "–" : percent(e.recall_inside), e.recall_crossing === undefined ? "–" : percent(e.recall_crossing),
        digits(e.seconds)]));
      const keys = [...new Set(runs.flatMap(run => Object.keys(run.keys || {})))].sort();
      const openBefore = [...page.querySelectorAll("details")].filter(d => d.open).map(d => d.dataset.name);
      const fold = (name, ...children) => {
        const element = make("details", { "data-name": name }, make("summary", {}, name), ...children);
        element.open = openBefore.includes(name);
        return element;
      };
      page.replaceChildren(...[
        make("h1", {}, runs.length === 1 ? runs[0].name : `${runs.length} runs`), overview(runs), controls(),
        section("Curves", "", figures), section("Throughput", "", speed),
        section("Where the time went", "Shares of the ranks' time, over the whole run and by steps. Unnamed is what no part accounts for.", runs.map(stack)),
        maps.length ? [make("h2", {}, "Waiting, rank by rank"), make("p", {}, "Share of the time that each rank waits ", select), make("div", { class: "charts" }, maps)] : [],
        section("Memory", "The most that a process had resident so far, against what the run was expected to need.", memory),
        evaluations.length ? [make("h2", {}, "Evaluations"), fold(`all ${evaluations.length}`, table(["run", { n: "step" }, { n: "loss" }, { n: "perplexity" },
          { n: "bits a byte" }, { n: "inside" }, { n: "cross" }, { n: "seconds" }], evaluations))] : [],
        notes.length ? [make("h2", {}, "What happened"), table([...(runs.length > 1 ? ["run"] : []), { n: "step" }, "what", ""], notes.slice(-200).map(([name, note]) =>
          [...(name === null ? [] : [name]), note.step, make("td", { class: note.kind }, note.kind), make("td", { class: "text" }, note.text)]))] : [],
        section("A step in detail", "The last recorded step of the trace. Neighbouring spans of one part are drawn as one; ui.perfetto.dev shows all of it.", runs.map(lanes)),
        make("h2", {}, "Configuration"),
        runs.length > 1 ? (data.differences.length
          ? table(["key that differs", ...runs.map(run => run.name)], data.differences.map(row => [row.key, ...row.values]))
          : make("p", {}, "No key differs.")) : null,
        fold(`all ${keys.length} keys`, table(["key", ...runs.map(run => run.name)], keys.map(key => [key, ...runs.map(run => (run.keys || {})[key] ?? "–")]))),
        make("p", { class: "facts" }, `lasp-train ${data.version}` + (data.live ? "; this page follows the run" : "")),
      ].flat(2).filter(child => child));
      redraw();
    }
    render();
    if (eventSource) {
      const source = new EventSource(eventSource);
      source.addEventListener("message", event => {
        const y = scrollY;
        data = JSON.parse(event.data);
        // A list that is being chosen from stays as it is.
        if (document.activeElement && document.activeElement.tagName === "SELECT") document.activeElement.blur();
        render();
        scrollTo(0, y);
      });
    }
    """#
}
