import Reporting

/// A page that is complete in itself, drawn by its own script from the data in it.
struct DrawnPage: Sendable {
  /// JSON, which the script finds as `data`.
  let data: String
  let title: String
  /// What draws the page beside what is common to all: it has a function `render`, and calls it.
  let script: String
  /// Whether the page is served, and hears of more at the address `events` beside it.
  var isLive = false

  /// The whole file.
  var html: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:">
    <link rel="icon" href="data:,">
    <title>\(Chart.escaped(title))</title>
    <style>
    \(PageStyle.common)
    \(Self.style)
    </style>
    </head>
    <body>
    <main id="page"><noscript><p>This page draws its figures by a script of its own.</p></noscript></main>
    <script type="application/json" id="data">\(Self.embedded(data))</script>
    <script>
    const eventSource = \(isLive ? "\"events\" + location.search" : "null");
    \(Self.common)
    \(script)
    </script>
    </body>
    </html>

    """
  }

  /// JSON as it may stand in a script element: nothing in it ends the element or begins a comment.
  static func embedded(_ json: String) -> String {
    json.replacing("<", with: "\\u003c").replacing(">", with: "\\u003e").replacing(
      "&", with: "\\u0026"
    ).replacing("\u{2028}", with: "\\u2028").replacing("\u{2029}", with: "\\u2029")
  }

  private static let style = """
    .runs td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 11ch; }
    .runs .dot { display: inline-block; width: 10px; height: 10px; border-radius: 5px;
      background: currentColor; margin-right: 6px; }
    .facts { margin: 2px 0; font-size: 13px; }
    .controls { display: flex; flex-wrap: wrap; gap: 6px 18px; margin: 18px 0 8px; align-items: center;
      color: var(--soft); position: sticky; top: 0; background: var(--back); padding: 6px 0; z-index: 2; }
    .controls label { display: inline-flex; gap: 6px; align-items: center; }
    select, button { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--rule);
      border-radius: 6px; padding: 2px 6px; }
    .charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 380px), 1fr)); gap: 14px;
      align-items: start; }
    .charts .big { grid-column: 1 / -1; }
    figure { margin: 0; padding: 8px 8px 4px; background: var(--panel); border: 1px solid var(--rule);
      border-radius: 8px; min-width: 0; position: relative; }
    figcaption { font-size: 13px; font-weight: 600; padding: 0 4px 2px; overflow-wrap: anywhere; }
    figcaption small { font-weight: normal; color: var(--soft); font-size: 12px; }
    figure svg { display: block; width: 100%; }
    svg text { fill: var(--soft); font-size: 11px; }
    svg .grid { stroke: var(--rule); fill: none; }
    svg .line { fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linejoin: round; }
    svg .dashed { stroke-dasharray: 5 4; }
    svg .band { fill: currentColor; opacity: 0.16; }
    svg .mark { fill: var(--back); stroke: currentColor; stroke-width: 1.6; }
    svg .cursor { stroke: var(--soft); stroke-dasharray: 2 3; }
    .tip { position: absolute; pointer-events: none; background: var(--back); border: 1px solid var(--rule);
      border-radius: 6px; padding: 4px 8px; font-size: 12px; z-index: 3; white-space: nowrap;
      font-variant-numeric: tabular-nums; max-width: 96%; overflow: hidden; text-overflow: ellipsis; }
    .keys { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 12px; padding: 2px 4px; }
    .swatch { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 5px;
      vertical-align: -1px; }
    .bar { display: flex; height: 18px; border-radius: 4px; overflow: hidden; margin: 2px 0 10px; }
    .bar span { min-width: 0; }
    canvas { display: block; width: 100%; image-rendering: pixelated; border-radius: 4px; }
    details { margin: 8px 0; } summary { cursor: pointer; color: var(--soft); }
    td.text { white-space: normal; overflow-wrap: anywhere; min-width: 24ch; }
    .warning, .skip, .spike, .slow { color: var(--h1); }
    .state { display: inline-block; padding: 0 8px; border-radius: 9px; background: var(--panel);
      border: 1px solid var(--rule); font-size: 12px; }
    @media (max-width: 560px) { main { padding: 14px 12px 48px; } h1 { font-size: 22px; } h2 { font-size: 17px; }
      .controls { gap: 4px 10px; font-size: 13px; } td.text { min-width: 12ch; } }
    """
}
