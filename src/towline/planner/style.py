"""The look of the comparison's page: light and dark, wide and narrow."""

from __future__ import annotations

STYLE = """
:root{--bg:#fbfaf8;--card:#fff;--ink:#1c1d22;--soft:#5d616b;--line:#e3e1dc;--best:#0b6e4f;--wash:#eaf4ef;
--c0:#0b6e4f;--c1:#b4501e;--c2:#3b5bb5;--c3:#8a3f8f;--c4:#8a6d00;--c5:#0a7586;--c6:#a32845}
@media (prefers-color-scheme:dark){:root{--bg:#15171b;--card:#1d2026;--ink:#eceae5;--soft:#a2a7b2;--line:#33373f;
--best:#5ec9a1;--wash:#1b2f28;--c0:#5ec9a1;--c1:#f0935f;--c2:#8ea8f5;--c3:#d893dc;--c4:#d9bb4a;--c5:#57c3d4;--c6:#f07c97}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1000px;margin:0 auto;padding:40px 20px 64px}
h1{font-size:30px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:20px;line-height:1.3;margin:0 0 6px}
header p,.say{color:var(--soft);margin:0 0 14px;max-width:70ch}
section{margin-top:36px}
.card{background:var(--card);border:1px solid var(--line);border-left:5px solid var(--best);border-radius:10px;
padding:20px 22px}
.card>p:last-child{margin:12px 0 0;color:var(--soft)}
.over{margin:0;color:var(--best);font-weight:600;font-size:14px}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px 20px;margin:14px 0}
.facts dt{color:var(--soft);font-size:14px}
.facts dd{margin:0;font-size:21px;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.facts.small dd{font-size:16px}
.bought{list-style:none;margin:0 0 10px;padding:0}
.bought li{padding:5px 0;border-top:1px solid var(--line);overflow-wrap:anywhere}
.bought b{display:inline-block;min-width:9em;margin-right:8px}
summary{cursor:pointer;color:var(--soft)}
details ul{margin:8px 0 0;padding-left:20px}
.plot,.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}
.plot{padding:14px}
.plot svg{display:block;width:100%;min-width:640px;height:auto}
.plot svg+svg{border-top:1px solid var(--line);margin-top:12px;padding-top:12px}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--soft)}
svg .label{fill:var(--ink);font-size:12.5px}
svg .title{font-size:12.5px}
svg .label.strong{font-weight:700}
svg .label.plain,svg .label.strong{fill:var(--ink)}
svg .label.faint{fill:var(--soft)}
.grid{stroke:var(--line);fill:none}.axis{stroke:var(--soft);fill:none}
.leader{stroke:var(--line);fill:none}
.rule{stroke:var(--soft);stroke-dasharray:2 4;fill:none}
.frontier{fill:none;stroke:var(--best);stroke-width:1.5;stroke-dasharray:5 4}
circle{stroke-width:2;stroke:var(--c2);fill:var(--c2)}
circle.strong{stroke:var(--best);fill:var(--best)}
circle.faint{fill:var(--card);stroke:var(--soft)}
.curve{fill:none;stroke-width:2;stroke-linejoin:round}.curve.strong{stroke-width:3.5}
.curve.s0{stroke:var(--c0)}.curve.s1{stroke:var(--c1)}.curve.s2{stroke:var(--c2)}.curve.s3{stroke:var(--c3)}
.curve.s4{stroke:var(--c4)}.curve.s5{stroke:var(--c5)}.curve.s6{stroke:var(--c6)}
svg .label.s0{fill:var(--c0)}svg .label.s1{fill:var(--c1)}svg .label.s2{fill:var(--c2)}svg .label.s3{fill:var(--c3)}
svg .label.s4{fill:var(--c4)}svg .label.s5{fill:var(--c5)}svg .label.s6{fill:var(--c6)}
table{border-collapse:collapse;width:100%;min-width:820px;font-size:14.5px}
th,td{text-align:left;vertical-align:top;padding:9px 12px;border-bottom:1px solid var(--line)}
tbody tr:last-child td{border-bottom:0}
tfoot th,tfoot td{border-top:2px solid var(--line);border-bottom:0}
th{color:var(--soft);font-weight:600}
.n{font-variant-numeric:tabular-nums;white-space:nowrap}
small{color:var(--soft);font-size:13.5px}
tr.best td{background:var(--wash)}
@media (max-width:560px){main{padding:24px 14px 48px}h1{font-size:25px}.card{padding:16px}.bought b{display:block}}
@media print{body{background:#fff}.plot,.wide,.card{break-inside:avoid}}
"""
