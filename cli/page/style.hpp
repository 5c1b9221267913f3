#pragma once

#include <string>

namespace paceline {

/// The page's style sheet. The colours are Okabe and Ito's, which the colour-blind tell apart, lighter on a dark
/// ground.
inline constexpr const char* kPageStyle = R"css(
:root{color-scheme:light dark;--ground:#fff;--text:#1b1f24;--soft:#5b6570;--grid:#dfe3e8;--card:#f6f7f9;
--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#cc79a7;--s4:#b8860b;--s5:#56b4e9;--s6:#6b4fa0;--s7:#7a7a7a;--on:#fff}
@media (prefers-color-scheme:dark){:root{--ground:#14171b;--text:#e8eaed;--soft:#a2abb5;--grid:#333a42;--card:#1d2126;
--s0:#4aa8e0;--s1:#f08a4b;--s2:#3fc79d;--s3:#e2a3c7;--s4:#e6b84a;--s5:#9ad3f5;--s6:#a58fd8;--s7:#a8a8a8;--on:#14171b}}
@media print{:root{color-scheme:light;--ground:#fff;--text:#000;--soft:#444;--grid:#ccc;--card:#fff;--s0:#0072b2;--s1:#d55e00;
--s2:#009e73;--s3:#cc79a7;--s4:#b8860b;--s5:#56b4e9;--s6:#6b4fa0;--s7:#7a7a7a;--on:#fff}
section,figure{break-inside:avoid}body{max-width:none}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:1080px;background:var(--ground);color:var(--text);
font:16px/1.5 system-ui,"DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.answer{font-size:1.2rem;line-height:1.45;border-left:4px solid var(--s0);padding:.25rem 0 .25rem .9rem;margin:1.2rem 0}
p.note,figcaption,.soft{color:var(--soft);font-size:.9rem}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:1rem}
figure{margin:0;background:var(--card);border-radius:8px;padding:.8rem}
figure h3{font-size:.95rem;margin:0 0 .4rem}
svg{display:block;width:100%;height:auto;font:12px system-ui,"DejaVu Sans",sans-serif}
svg text{fill:var(--text)}svg text.axis{fill:var(--soft)}
.grid{stroke:var(--grid)}.rule{stroke:var(--text)}
.line path{fill:none;stroke:var(--c);stroke-width:2}.line circle{fill:var(--c)}.line:hover path{stroke-width:4}
.band{fill:var(--c);opacity:.15}
.cell rect{fill:var(--c)}.cell text{fill:var(--on);font-weight:600}.cell.unclear rect{opacity:.55}.cell.unclear text{fill:var(--text)}
.cell.none rect{fill:var(--grid)}
.s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}.s4{--c:var(--s4)}.s5{--c:var(--s5)}.s6{--c:var(--s6)}.s7{--c:var(--s7)}
.p0{fill:var(--s0)}.p1{fill:var(--s7)}.p2{fill:var(--s1)}.p3{fill:var(--s4)}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;padding:0;margin:.5rem 0;font-size:.9rem}
.legend i{display:inline-block;width:.8em;height:.8em;border-radius:2px;background:var(--c);margin-right:.4em}
section>figure+figure{margin-top:1rem}.wide{overflow-x:auto}.wide svg{min-width:720px}
.table{overflow-x:auto;overflow-wrap:normal}.table td{overflow-wrap:break-word}table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td.n{white-space:nowrap}th,td{padding:.25rem .7rem .25rem 0;text-align:left;border-bottom:1px solid var(--grid);vertical-align:top}td.n,th.n{text-align:right}
summary{cursor:pointer;padding:.3rem 0}:focus-visible{outline:2px solid var(--s0);outline-offset:2px}
pre{white-space:pre-wrap;font-size:.8rem;background:var(--card);padding:.8rem;border-radius:8px}
@media (max-width:520px){body{padding:1rem .7rem 2rem}figure{padding:.5rem}.answer{font-size:1.05rem}svg{font-size:14px}}
)css";

/// That of a drawing outside the page: on white, without variables, which not all that draws SVG knows.
inline std::string drawing_style() {
  std::string style =
      "svg{font:12px system-ui,'DejaVu Sans',sans-serif}text{fill:#1b1f24}text.axis{fill:#5b6570}"
      "text.heading{font-size:17px;font-weight:600}text.title{font-weight:600}"
      ".grid{stroke:#dfe3e8}.rule{stroke:#1b1f24}.line "
      "path{fill:none;stroke-width:2}.band{opacity:.15}"
      ".cell text{fill:#fff;font-weight:600}.cell.unclear rect{opacity:.55}.cell.unclear "
      "text{fill:#1b1f24}"
      ".cell.none rect{fill:#dfe3e8}";
  const std::string colours[]{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                              "#b8860b", "#56b4e9", "#6b4fa0", "#7a7a7a"};
  for (std::size_t i = 0; i < 8; ++i) {
    const std::string s = ".s" + std::to_string(i), fill = "{fill:" + colours[i] + "}";
    style += ".line" + s + " path{stroke:" + colours[i] + "}.line" + s + " circle" + fill +
             ".band" + s + fill + ".cell" + s + " rect" + fill;
  }
  const std::size_t parts[]{0, 7, 1, 4};
  for (std::size_t i = 0; i < 4; ++i)
    style += ".p" + std::to_string(i) + "{fill:" + colours[parts[i]] + "}";
  return style;
}

}  // namespace paceline
