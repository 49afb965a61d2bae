"""How the page looks: on a phone, on a wide screen, in the dark and on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1c2126; --soft: #565f67; --line: #d5dade; --panel: #f4f6f7;
  --mark: #8a3d00; --link: #00588a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #171b1f; --ink: #e4e8eb; --soft: #a9b2ba; --line: #3a4148; --panel: #20262b;
    --mark: #f3a970; --link: #7cc4f0;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main { max-width: 68rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .4rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; padding-top: .5rem;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
p { max-width: 44rem; margin: .6rem 0; overflow-wrap: anywhere; }
.about, figcaption, caption { color: var(--soft); }
a { color: var(--link); }
nav ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; }
nav a { display: inline-block; padding: .5rem .9rem .5rem 0; }
.note { border-left: .3rem solid var(--mark); background: var(--panel);
  padding: .5rem .8rem; max-width: 44rem; }
.note b { color: var(--mark); }
.scroll { overflow-x: auto; max-width: 100%; margin: 1rem 0; }
.scroll:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; }
caption span { position: sticky; left: 0; display: inline-block; max-width: min(44rem, 88vw); }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; white-space: nowrap; }
thead th { border-bottom: 2px solid var(--ink); vertical-align: bottom; }
tbody th { font-weight: 600; position: sticky; left: 0; background: var(--paper); }
th span { display: inline-block; width: max-content; max-width: 10rem; white-space: normal;
  overflow-wrap: anywhere; }
@media (max-width: 30rem) {
  th, td { padding: .3rem .45rem; }
  thead th span { max-width: 7.5rem; }
  tbody th span { max-width: 9rem; }
}
.numbers td, .numbers thead th + th { text-align: right; }
.figures { display: grid; gap: 0 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
figure { margin: 1rem 0; max-width: 32rem; }
figure.wide { max-width: 100%; }
figure.wide .scroll { margin: 0; }
figure img { display: block; max-width: 100%; height: auto; }
figure.wide img { max-width: none; }
figcaption { margin-top: .4rem; font-size: .9375rem; overflow-wrap: anywhere; }
pre { margin: .4rem 0 1rem; padding: .7rem; background: var(--panel); overflow-x: auto;
  font: .875rem/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.still { display: none !important; }
@media (prefers-reduced-motion: reduce) {
  .film { display: none !important; }
  .still { display: block !important; }
}
@media print {
  :root { --paper: #ffffff; --ink: #000000; --soft: #333333; --line: #999999; --panel: #ffffff;
    --mark: #000000; --link: #000000; }
  @page { margin: 15mm; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  h1, h2 { break-after: avoid; }
  p:has(+ .figures), p:has(+ .scroll), p:has(+ pre) { break-after: avoid; }
  figure, img, table, tr, pre, p { break-inside: avoid; }
  caption { break-after: avoid; }
  .figures { display: block; }
  figure { display: inline-block; width: 48%; margin-right: 1.5%; vertical-align: top; }
  figure.wide, figure.moving { width: 100%; max-width: 100%; }
  figure.wide img { max-width: min(100%, 14cm); }
  .scroll { overflow: visible; }
  table { font-size: 8pt; max-width: 100%; }
  thead { display: table-header-group; }
  th, td { white-space: normal; overflow-wrap: anywhere; padding: .15rem .35rem; }
  tbody th { position: static; }
  th span { width: auto; max-width: none; }
  caption span { max-width: none; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line); }
  .film { display: none !important; }
  .still { display: block !important; }
}
"""
