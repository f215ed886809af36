extension DrawnPage {
  /// What all pages draw with: elements, numbers as text, charts and tables; then a page's own `render` is called.
  ///
  /// Texts from files become text nodes, never markup.
  static let common = #"""
    "use strict";
    const space = "http://www.w3.org/2000/svg";
    function make(tag, attributes, ...children) {
      const isDrawn = ["svg", "path", "text", "rect", "circle", "line", "g"].includes(tag);
      const element = isDrawn ? document.createElementNS(space, tag) : document.createElement(tag);
      for (const [key, value] of Object.entries(attributes || {})) {
        if (key === "style") Object.assign(element.style, value); else element.setAttribute(key, value);
      }
      for (const child of children.flat()) if (child !== null && child !== undefined) element.append(child);
      return element;
    }
    const choice = { x: "step", log: false, smooth: 0, map: "state", shown: null };
    let data = JSON.parse(document.getElementById("data").textContent);

    function digits(value) {
      if (value === null || value === undefined || !isFinite(value)) return "–";
      const size = Math.abs(value);
      if (size === 0) return "0";
      if (size >= 1e5 || size < 1e-3) return value.toExponential(2);
      return size >= 100 ? value.toFixed(size >= 1000 ? 0 : 1) : value.toPrecision(size < 1 ? 3 : 4);
    }
    function scaled(value, base, units) {
      if (value === null || value === undefined || !isFinite(value)) return "–";
      let index = 0;
      while (Math.abs(value) >= base * 0.9995 && index + 1 < units.length) { value /= base; index += 1; }
      return (index === 0 && Number.isInteger(value) ? String(value) : value.toPrecision(3)) + units[index];
    }
    const count = value => scaled(value, 1000, ["", "k", "M", "G", "T"]);
    const bytes = value => scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);
    const percent = value => value === null || value === undefined ? "–" : (100 * value).toFixed(1) + " %";
    function duration(seconds) {
      if (seconds === null || seconds === undefined || !isFinite(seconds)) return "–";
      const s = Math.round(seconds), two = n => String(n).padStart(2, "0");
      if (s >= 86400) return Math.floor(s / 86400) + "d " + two(Math.floor(s / 3600) % 24) + "h";
      return s >= 3600 ? Math.floor(s / 3600) + ":" + two(Math.floor(s / 60) % 60) + ":" + two(s % 60)
        : Math.floor(s / 60) + ":" + two(s % 60);
    }
    const hue = index => "h" + index % 8;
    const axes = {
      step: { title: "step", text: value => count(value), of: (curves, i) => curves.step[i] },
      tokens: { title: "tokens", text: value => count(value), of: (curves, i) => curves.tokens[i] },
      seconds: { title: "time of training", text: duration, of: (curves, i) => curves.seconds[i] },
    };

    function ticks(low, high, many, isBinary) {
      const span = high - low;
      if (!(span > 0)) return [low];
      const raw = span / many, power = Math.pow(10, Math.floor(Math.log10(raw)));
      const step = isBinary ? Math.pow(2, Math.ceil(Math.log2(raw))) : [1, 2, 5, 10].map(n => n * power).find(n => n >= raw);
      const result = [];
      for (let n = Math.ceil(low / step); n * step <= high + step * 1e-9; n++) result.push(n * step);
      return result;
    }
    function logTicks(low, high) {
      const result = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
        for (const n of [1, 2, 5]) { const v = n * Math.pow(10, power); if (v >= low && v <= high) result.push(v); }
      return result.length > 9 ? result.filter(v => Math.abs(Math.log10(v) % 1) < 1e-9) : result;
    }
    function smoothed(values, width) {
      if (!width) return values;
      return values.map((value, index) => {
        if (value === null) return null;
        let sum = 0, many = 0;
        for (let i = Math.max(0, index - width); i <= Math.min(values.length - 1, index + width); i++)
          if (values[i] !== null) { sum += values[i]; many += 1; }
        return sum / many;
      });
    }

    // A chart: series of { name, hue, x, y, least, most, marks, dashed }.
    function chart(title, series, options) {
      options = options || {};
      const figure = make("figure", options.big ? { class: "big" } : {},
        make("figcaption", {}, title, options.note ? make("small", {}, "  " + options.note) : null));
      series = series.filter(s => s.y.some(v => v !== null && v !== undefined));
      if (!series.length) return null;
      if (series.length > 1 || options.keys) figure.append(make("div", { class: "keys" }, series.map(s =>
        make("span", { class: s.hue }, make("span", { class: "swatch", style: { background: "currentColor" } }), s.name))));
      const place = make("div"); figure.append(place);
      const text = options.text || digits;
      const axis = options.axis || axes[choice.x];
      function draw() {
        const width = Math.max(260, figure.clientWidth - 18), height = options.big ? 300 : 210;
        const left = 54, right = 10, top = 8, bottom = 34;
        let xs = [], ys = [];
        for (const s of series) s.y.forEach((v, i) => {
          if (v === null || v === undefined) return;
          xs.push(s.x[i]); ys.push(v);
        });
        if (options.plan) ys.push(options.plan);
        const isLog = options.log && choice.log && ys.every(v => v > 0);
        let [x0, x1] = [Math.min(...xs), Math.max(...xs)];
        let [y0, y1] = [Math.min(...ys), Math.max(...ys)];
        if (options.zero) y0 = 0;
        if (options.robust && ys.length > 40 && !isLog) {
          // A few values far above all others, such as those of the first steps, do not hide the rest.
          const sorted = [...ys].sort((a, b) => a - b), most = sorted[Math.floor(0.985 * sorted.length)];
          if (y1 - y0 > 3 * (most - y0)) y1 = most + 0.2 * (most - y0);
        }
        if (y0 === y1) { y0 -= Math.abs(y0) * 0.05 || 1; y1 += Math.abs(y1) * 0.05 || 1; }
        if (x0 === x1) { x0 -= 0.5; x1 += 0.5; }
        if (!options.zero && !isLog) { const pad = (y1 - y0) * 0.04; y0 -= pad; y1 += pad; }
        const f = isLog ? Math.log : v => v;
        const X = v => left + (v - x0) / (x1 - x0) * (width - left - right);
        const Y = v => Math.min(height, Math.max(top - 4,
          height - bottom - (f(v) - f(y0)) / (f(y1) - f(y0)) * (height - top - bottom)));
        const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": title });
        for (const tick of isLog ? logTicks(y0, y1) : ticks(y0, y1, 4, options.binary)) {
          svg.append(make("path", { class: "grid", d: `M${left} ${Y(tick).toFixed(1)}H${width - right}` }),
            make("text", { x: left - 6, y: Y(tick).toFixed(1), dy: "0.34em", "text-anchor": "end" }, text(tick)));
        }
        for (const tick of ticks(x0, x1, width < 420 ? 4 : 7))
          svg.append(make("text", { x: Math.min(X(tick), width - right).toFixed(1), y: height - bottom + 15,
            "text-anchor": X(tick) > width - right - 14 ? "end" : "middle" }, axis.text(tick)));
        svg.append(make("text", { x: width - right, y: height - 5, "text-anchor": "end" }, axis.title));
        for (const s of series) {
          const points = s.y.map((v, i) => v === null || v === undefined ? null : [X(s.x[i]), Y(v)]);
          const group = make("g", { class: s.hue });
          if (s.least && s.y.length > 1) {
            let upper = "", lower = "";
            s.y.forEach((v, i) => {
              if (v === null || s.least[i] === null) return;
              upper += `${upper ? "L" : "M"}${X(s.x[i]).toFixed(1)} ${Y(s.most[i]).toFixed(1)}`;
              lower = `L${X(s.x[i]).toFixed(1)} ${Y(s.least[i]).toFixed(1)}` + lower;
            });
            if (upper) group.append(make("path", { class: "band", d: upper + lower + "Z" }));
          }
          let line = "", isOpen = false;
          for (const p of points) {
            if (!p) { isOpen = false; continue; }
            line += `${isOpen ? "L" : "M"}${p[0].toFixed(1)} ${p[1].toFixed(1)}`; isOpen = true;
          }
          group.append(make("path", { class: "line" + (s.dashed ? " dashed" : ""), d: line }));
          if (s.marks || points.filter(p => p).length === 1) for (const p of points) if (p)
            group.append(make("circle", { class: "mark", cx: p[0].toFixed(1), cy: p[1].toFixed(1), r: 3 }));
          svg.append(group);
        }
        if (options.plan) svg.append(make("path", { class: "line dashed", style: { color: "var(--soft)" },
          d: `M${left} ${Y(options.plan).toFixed(1)}H${width - right}` }));
        const cursor = make("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
        svg.append(cursor);
        const tip = make("div", { class: "tip", style: { display: "none" } });
        svg.addEventListener("pointermove", event => {
          const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) / box.width * width;
          const value = x0 + (at - left) / (width - left - right) * (x1 - x0);
          tip.replaceChildren();
          let where = null;
          for (const s of series) {
            let best = -1;
            s.x.forEach((x, i) => {
              if (s.y[i] !== null && s.y[i] !== undefined && (best < 0 || Math.abs(x - value) < Math.abs(s.x[best] - value))) best = i;
            });
            if (best < 0) continue;
            if (where === null) where = s.x[best];
            tip.append(make("div", { class: s.hue }, `${s.name}: ${text(s.y[best])}`
              + (s.least && s.least[best] !== s.most[best] ? ` (${text(s.least[best])} to ${text(s.most[best])})` : "")));
          }
          if (where === null) return;
          tip.prepend(make("div", {}, `${axis.title} ${axis.text(where)}`));
          cursor.setAttribute("x1", X(where)); cursor.setAttribute("x2", X(where));
          cursor.setAttribute("visibility", "visible");
          tip.style.display = "";
          const room = figure.clientWidth, x = X(where) / width * box.width;
          tip.style.left = Math.max(4, x > room / 2 ? x - tip.offsetWidth - 8 : x + 20) + "px";
          tip.style.top = (place.offsetTop + 12) + "px";
        });
        svg.addEventListener("pointerleave", () => { tip.style.display = "none"; cursor.setAttribute("visibility", "hidden"); });
        place.replaceChildren(svg, tip);
      }
      figure.draw = draw;
      return figure;
    }

    function table(head, rows, attributes) {
      return make("div", { class: "wide" }, make("table", attributes || {},
        make("thead", {}, make("tr", {}, head.map(cell => make("th", cell.n ? { class: "n" } : {}, cell.n || cell)))),
        make("tbody", {}, rows.map(cells => make("tr", {}, cells.map((cell, i) =>
          cell instanceof Node ? cell : make("td", head[i] && head[i].n ? { class: "n" } : {}, String(cell))))))));
    }
    function section(title, text, figures) {
      figures = figures.filter(f => f);
      if (!figures.length) return [];
      return [make("h2", {}, title), text ? make("p", {}, text) : null, make("div", { class: "charts" }, figures)];
    }
    function redraw() { for (const figure of document.querySelectorAll("figure")) if (figure.draw) figure.draw(); }
    let waiting = null;
    addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(redraw, 120); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    """#
}
