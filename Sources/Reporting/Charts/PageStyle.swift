/// What all pages look like that this program writes: for light and dark screens, wide and narrow ones.
package enum PageStyle {
  /// Colours, text and tables.
  package static let common = """
    :root { color-scheme: light dark; --back: #fff; --text: #1d2126; --soft: #5d6671; --rule: #dfe3e8;
      --panel: #f7f8fa; --h0: #0068a8; --h1: #c44a00; --h2: #008560; --h3: #a8458a; --h4: #7a6500;
      --h5: #5b5bd0; --h6: #b02a37; --h7: #3d7d8a; }
    @media (prefers-color-scheme: dark) {
      :root { --back: #14171b; --text: #e6e9ed; --soft: #9aa4b0; --rule: #2f363e; --panel: #1b2026;
        --h0: #58b3f0; --h1: #ff9550; --h2: #3fcb9b; --h3: #e79ace; --h4: #e0c04a; --h5: #a3a3ff;
        --h6: #ff8088; --h7: #7fc7d6; }
    }
    body { margin: 0; background: var(--back); color: var(--text);
      font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
    main { max-width: 1240px; margin: 0 auto; padding: 24px 24px 64px; }
    h1 { font-size: 28px; margin: 8px 0 16px; }
    h2 { font-size: 19px; margin: 40px 0 4px; }
    p { margin: 4px 0 10px; max-width: 80ch; color: var(--soft); }
    \((0..<8).map { ".h\($0) { color: var(--h\($0)); }" }.joined(separator: " "))
    .wide { overflow-x: auto; }
    table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
    th, td { padding: 3px 9px; border-bottom: 1px solid var(--rule); white-space: nowrap;
      text-align: left; font-weight: normal; }
    thead th { color: var(--soft); vertical-align: bottom; white-space: normal; line-height: 1.25; }
    .n { text-align: right; }
    """

  /// Lists of facts, notes, and charts as `Chart` draws them, with their legends.
  package static let figures = """
    dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 0 0 12px; }
    dt { color: var(--soft); }
    dd { margin: 0; overflow-wrap: anywhere; }
    .note { border-left: 4px solid var(--h1); padding: 6px 12px; background: var(--panel);
      color: var(--text); }
    .legend { display: flex; flex-wrap: wrap; gap: 4px 22px; color: var(--text); max-width: none; }
    .key { vertical-align: -2px; margin-right: 4px; }
    .charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 14px; }
    figure { margin: 0; padding: 10px 8px 4px; background: var(--panel); border: 1px solid var(--rule);
      border-radius: 8px; max-width: 470px; }
    figure svg { display: block; width: 100%; height: auto; }
    svg path, svg circle { fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linejoin: round; }
    svg text { fill: var(--text); font-size: 11px; }
    svg .title { font-size: 13px; font-weight: 600; }
    svg .tick, svg .name { fill: var(--soft); }
    svg .grid { stroke: var(--rule); stroke-width: 1; }
    svg .axis { stroke: var(--soft); stroke-width: 1; }
    svg .whisker { stroke-width: 1.2; opacity: 0.6; }
    .ideal { color: var(--soft); }
    """
}
