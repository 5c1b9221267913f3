"""The report of a study of 1,000 points in headless Chromium: nothing in the console, every chart drawn, nothing cut off
or overlapping at the width of a page and of a phone, in light, dark and print; opened in 2 s, of less than 5 MB.

page_in_browser.py PACELINE [FOLDER]: screenshots go to FOLDER, to be looked at. Exit code 77: there is no Chromium.
"""
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

POINTS, MOST_BYTES, MOST_SECONDS = 1000, 5_000_000, 2
STUDY = ["-m", "resnet50", "-b", "32", "-c", "16x1-1080ti-10gbe", "--name", "thousand", "--vary", "network.bandwidth=1Gbps..100Gbps:log25",
         "--vary", "nodes[0].count=4..64:x2", "--vary", "schedule=s-sgd:overlap=none,s-sgd:overlap=ddp,cocod-sgd:period=5,lags-sgd",
         "--vary", "batch=16,32"]
CHARTS = {"Who is fastest where", "Speedup over one GPU", "Where the time of an iteration goes", "Use of the busiest link",
          "How much of the communication is hidden", "One iteration of each", "What is not known exactly"}

# In a page around the report, which it may look into: of the same folder (--allow-file-access-from-files).
PROBE = """<!doctype html><body style="margin:0"><iframe id=f width=%d height=900 style="border:0"></iframe><pre id=out></pre><script>
const frame = document.getElementById('f'), start = performance.now();
frame.onload = () => {  // before this page counts as loaded, and is dumped
  const page = frame.contentDocument, view = frame.contentWindow;
  page.body.getBoundingClientRect();  // laid out
  const seconds = (performance.now() - start) / 1000;
  const charts = [...page.querySelectorAll('svg')].map(svg => {
    const box = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll('text')].map(t => [t, t.getBoundingClientRect()]);
    const marks = [...svg.querySelectorAll('path,rect,circle,polygon')].filter(m => {
      const b = m.getBoundingClientRect(); return b.width > 0 || b.height > 0; });
    return {section: svg.closest('section').querySelector('h2').textContent, width: box.width, height: box.height,
            marks: marks.length,
            painted: new Set(marks.map(m => { const s = view.getComputedStyle(m); return s.fill + s.stroke; })).size,
            cut: texts.filter(([t, b]) => b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 1 ||
                                          b.bottom > box.bottom + 1).map(([t]) => t.textContent),
            unreadable: texts.filter(([t, b]) => b.height < 6).map(([t]) => t.textContent)};
  });
  const narrow = [...page.querySelectorAll('td')].filter(c => c.textContent.trim() && c.getClientRects().length &&
    c.getBoundingClientRect().height > 8 * c.getBoundingClientRect().width).map(c => c.textContent);
  const style = view.getComputedStyle(page.body);
  document.getElementById('out').textContent = JSON.stringify({seconds, charts, narrow, ground: style.backgroundColor, text: style.color,
    wide: page.documentElement.scrollWidth - page.documentElement.clientWidth, legend: page.querySelectorAll('.legend li').length,
    titles: page.querySelectorAll('svg title').length, focusable: page.querySelectorAll('summary,[tabindex]').length});
};
frame.src = 'page.html';
</script>"""


def browser():
    return next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)


def chromium(folder, page, *flags):
    """What the document is in the end, and what the console has said."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:  # the last one may still be at its own
        done = subprocess.run([browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
                               "--allow-file-access-from-files", f"--user-data-dir={profile}", *flags, (folder / page).as_uri()],
                              capture_output=True, text=True, check=False, timeout=120)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def probed(folder, width, *flags):
    (folder / "probe.html").write_text(PROBE % width)
    document, console = chromium(folder, "probe.html", "--dump-dom", f"--window-size={max(width, 500)},1000", *flags)
    found = re.search(r'<pre id="out">(.+?)</pre>', document, re.S)
    return json.loads(html.unescape(found[1])) if found else None, console


def luminance(colour):
    red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def problems(name, found, console):
    """What is wrong with one way to look at it."""
    if found is None:
        return [f"{name}: the page was not opened"]
    wrong = [f"{name}: console: {line}" for line in console]
    missing = CHARTS - {chart["section"] for chart in found["charts"]}
    if missing:
        wrong.append(f"{name}: no chart in {sorted(missing)}")
    for chart in found["charts"]:
        where = f"{name}: {chart['section']}"
        if chart["width"] < 200 or chart["height"] < 30 or chart["marks"] < 2 or chart["painted"] < 1:
            wrong.append(f"{where}: not drawn: {chart}")
        if chart["cut"] or chart["unreadable"]:
            wrong.append(f"{where}: cut off: {chart['cut']}; too small: {chart['unreadable']}")
    if found["narrow"]:
        wrong.append(f"{name}: {len(found['narrow'])} cells of tables a letter wide: {found['narrow'][0]}")
    if found["wide"] > 1:
        wrong.append(f"{name}: {found['wide']} pixels wider than the window")
    if found["legend"] < 4 or found["titles"] < POINTS / 4 or found["focusable"] < 1:
        wrong.append(f"{name}: legend, hovering or keys: {found['legend']}, {found['titles']}, {found['focusable']}")
    if abs(luminance(found["ground"]) - luminance(found["text"])) < 0.6:
        wrong.append(f"{name}: {found['text']} on {found['ground']} is hard to read")
    return wrong


def main():
    if browser() is None:
        print("skipped: there is no Chromium (apt-get install chromium)")
        return 77
    paceline = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        store, page = folder / "store.db", folder / "page.html"
        subprocess.run([paceline, "sweep", *STUDY, "-o", store, "--json"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([paceline, "report", store, "-o", page], check=True, stdout=subprocess.DEVNULL)
        wrong = [] if page.stat().st_size < MOST_BYTES else [f"{page.stat().st_size} bytes"]
        seconds, grounds = [], {}
        for name, width, flags in (("light", 1100, []), ("dark", 1100, ["--force-dark-mode"]), ("narrow", 390, [])):
            found, console = probed(folder, width, *flags)
            wrong += problems(name, found, console)
            if found:
                seconds.append(found["seconds"])
                grounds[name] = luminance(found["ground"])
            chromium(folder, "page.html", f"--screenshot={folder / name}.png", f"--window-size={max(width, 500)},7600", *flags)
        if not grounds.get("dark", 1) < 0.2 < 0.8 < grounds.get("light", 0):
            wrong.append(f"light and dark are alike: {grounds}")
        chromium(folder, "page.html", f"--print-to-pdf={folder / 'print.pdf'}")
        if not (folder / "print.pdf").exists() or (folder / "print.pdf").stat().st_size < 50_000:
            wrong.append("not printed")
        if seconds and min(seconds) > MOST_SECONDS:  # the least: the machine is shared
            wrong.append(f"opened in {min(seconds):.1f} s")
        print(f"{page.stat().st_size} bytes, opened in {', '.join(f'{s:.2f}' for s in seconds)} s")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
