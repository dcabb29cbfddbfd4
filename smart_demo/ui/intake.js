/* Files on their way in. What is over a limit is told before it is sent, a refused upload is told in words where Gradio
   says "Error", and what was on its way when the demo ended is told after its restart. The server checks it all again. */
(() => {
  "use strict";
  const BOXES = "#upload, #picture, #board-file, #list-file", ROWS = "#ask, .row";
  const KEPT_AS = "smart-demo-on-their-way", UNREACHED = "The upload did not reach the demo. Add the files again.";
  let box = null;

  function count(number) { return `${number} ${number === 1 ? "file" : "files"}`; }

  function names(files) {
    const few = files.slice(0, 3).map((name) => (name.length > 60 ? `${name.slice(0, 57)}…` : name)).join(", ");
    return files.length > 3 ? `${few} and ${files.length - 3} more` : few;
  }

  /* ---- what is told stands below the box until the next files are chosen ---- */
  function tell(sentence) {
    const place = box?.matches("#upload") ? box : box?.closest(ROWS) ?? box;
    if (!place?.isConnected) return;
    let note = place.nextElementSibling;
    if (!note?.matches(".intake-said")) {
      note = document.createElement("div");
      note.className = "notice intake-said";
      note.setAttribute("role", "alert");
      place.after(note);
    }
    const line = document.createElement("p");
    line.textContent = sentence;
    note.append(line);
  }

  function begin(at) {
    box = at;
    for (const note of document.querySelectorAll(".intake-said")) note.remove();
  }

  /* ---- before anything is sent ---- */
  function within(files) {
    const { mostFiles, mostBytes } = document.querySelector("[data-most-files]")?.dataset ?? {};
    if (!mostFiles) return files;
    const most = Number(mostFiles), bytes = Number(mostBytes);
    const large = files.filter((file) => file.size > bytes), fit = files.filter((file) => file.size <= bytes);
    if (large.length) {
      tell(`Not sent, over ${Math.floor(bytes / 2 ** 20)} MB: ${names(large.map((file) => file.name))}. `
        + "Split the file or make it smaller, then add it again.");
    }
    const over = fit.slice(most);
    if (over.length) {
      tell(`Not sent, over ${count(most)} at once: ${names(over.map((file) => file.name))}. Add them when the others are through.`);
    }
    return fit.slice(0, most);
  }

  function carry(files) {
    const carried = new DataTransfer();
    for (const file of files) carried.items.add(file);
    return carried;
  }

  addEventListener("change", (event) => {
    const input = event.target, at = input.type === "file" && input.files.length && input.closest(BOXES);
    if (!at) return;
    begin(at);
    if (!at.matches("#upload")) return;
    const given = [...input.files], fit = within(given);
    if (fit.length === given.length) return;
    input.files = carry(fit).files;
    if (!fit.length) event.stopImmediatePropagation();
  }, true);

  addEventListener("drop", (event) => {
    const at = event.target.closest?.("#upload"), given = [...(event.dataTransfer?.files ?? [])];
    if (!at || !given.length || event.smartChecked) return;
    begin(at);
    const fit = within(given);
    if (fit.length === given.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const again = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: carry(fit) });
    again.smartChecked = true;
    event.target.dispatchEvent(again);
  }, true);

  /* ---- what the demo refuses ---- */
  async function said(response) {
    const plain = (response.headers.get("content-type") ?? "").startsWith("text/plain");
    const text = plain ? (await response.text()).trim() : "";
    return text && text.length < 400 && response.status !== 500 ? text : `The upload failed (${response.status}). Add the files again in a moment.`;
  }

  const plain = window.fetch;
  window.fetch = async (what, how) => {
    const { pathname } = new URL(what instanceof Request ? what.url : what, location.href);
    if (!pathname.endsWith("/gradio_api/upload") || how?.method !== "POST") return plain(what, how);
    const before = kept();
    if (box?.matches("#upload")) keep([...before, ...how.body.getAll("files").map((file) => file.name)]);
    let response;
    try { response = await plain(what, how); } catch (error) { tell(UNREACHED); throw error; }
    if (!response.ok) {
      keep(before);
      tell(await said(response.clone()));
    }
    return response;
  };

  /* ---- over a restart: this tab knows what was on its way, and in which run of the demo ---- */
  const run = () => String(window.gradio_config?.app_id ?? "");

  function stored() {
    try { return JSON.parse(sessionStorage.getItem(KEPT_AS)) ?? {}; } catch { return {}; }
  }

  function kept() {
    const { of, files } = stored();
    return of === run() && Array.isArray(files) ? files : [];
  }

  function keep(files) {
    try {
      if (files.length) sessionStorage.setItem(KEPT_AS, JSON.stringify({ of: run(), files }));
      else sessionStorage.removeItem(KEPT_AS);
    } catch { /* Then nothing is told after a restart. */ }
  }

  function lookBack() {
    const { of, files } = stored();
    if (!run() || !Array.isArray(files) || of === run()) return;
    const banner = document.createElement("p"), host = document.createElement("div");
    banner.className = "banner is-fallback";
    banner.textContent = `The demo was restarted and no longer knows what became of ${names(files.map(String))}. `
      + "Pages that were stored are in the Library; add a file again where pages are missing.";
    host.id = "restarted";
    host.setAttribute("role", "status");
    host.append(banner);
    document.querySelector("#status").after(host);
    keep([]);
  }

  window.smartIntake = {
    /* What the list of uploads says is so. */
    list(element, watch) {
      const look = () => keep([...element.querySelectorAll(".is-working .arrival-name")].map((node) => node.textContent));
      watch("value", () => requestAnimationFrame(look));
    },
    forget: () => keep([]),
  };

  const waiting = new MutationObserver(() => {
    if (!document.querySelector("#status")) return;
    waiting.disconnect();
    lookBack();
  });
  waiting.observe(document, { childList: true, subtree: true });
})();
