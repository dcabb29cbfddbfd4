/* Uploads: skips files over a limit before they are sent, shows the server's reason for a refusal instead of Gradio's
   "Error", and names the uploads that a restart interrupted. The server checks every limit again. */
(() => {
  "use strict";
  const BOXES = "#upload, #picture, #board-file, #list-file", ROWS = "#ask, .row";
  const STORAGE_KEY = "smart-demo-on-their-way", UNREACHED = "The upload did not reach the demo. Add the files again.";
  let box = null;

  function count(number) { return `${number} ${number === 1 ? "file" : "files"}`; }

  function names(files) {
    const few = files.slice(0, 3).map((name) => (name.length > 60 ? `${name.slice(0, 57)}…` : name)).join(", ");
    return files.length > 3 ? `${few} and ${files.length - 3} more` : few;
  }

  /* ---- a note below the box, until the next files are chosen ---- */
  function showNote(sentence) {
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

  function startUpload(at) {
    box = at;
    for (const note of document.querySelectorAll(".intake-said")) note.remove();
  }

  /* ---- before anything is sent ---- */
  function withinLimits(files) {
    const { mostFiles, mostBytes } = document.querySelector("[data-most-files]")?.dataset ?? {};
    if (!mostFiles) return files;
    const limit = Number(mostFiles), bytes = Number(mostBytes);
    const tooLarge = files.filter((file) => file.size > bytes), fit = files.filter((file) => file.size <= bytes);
    if (tooLarge.length) {
      showNote(`Not sent, over ${Math.floor(bytes / 2 ** 20)} MB: ${names(tooLarge.map((file) => file.name))}. `
        + "Split the file or make it smaller, then add it again.");
    }
    const over = fit.slice(limit);
    if (over.length) {
      showNote(`Not sent, over ${count(limit)} at once: ${names(over.map((file) => file.name))}. Add them when these uploads are finished.`);
    }
    return fit.slice(0, limit);
  }

  function toFileList(files) {
    const list = new DataTransfer();
    for (const file of files) list.items.add(file);
    return list;
  }

  addEventListener("change", (event) => {
    const input = event.target, at = input.type === "file" && input.files.length && input.closest(BOXES);
    if (!at) return;
    startUpload(at);
    if (!at.matches("#upload")) return;
    const chosen = [...input.files], fit = withinLimits(chosen);
    if (fit.length === chosen.length) return;
    input.files = toFileList(fit).files;
    if (!fit.length) event.stopImmediatePropagation();
  }, true);

  addEventListener("drop", (event) => {
    const at = event.target.closest?.("#upload"), chosen = [...(event.dataTransfer?.files ?? [])];
    if (!at || !chosen.length || event.smartChecked) return;
    startUpload(at);
    const fit = withinLimits(chosen);
    if (fit.length === chosen.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const again = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: toFileList(fit) });
    again.smartChecked = true;
    event.target.dispatchEvent(again);
  }, true);

  /* ---- refusals by the server ---- */
  async function refusalText(response) {
    const plain = (response.headers.get("content-type") ?? "").startsWith("text/plain");
    const text = plain ? (await response.text()).trim() : "";
    return text && text.length < 400 && response.status !== 500 ? text : `The upload failed (${response.status}). Add the files again in a moment.`;
  }

  const plain = window.fetch;
  window.fetch = async (what, how) => {
    const { pathname } = new URL(what instanceof Request ? what.url : what, location.href);
    if (!pathname.endsWith("/gradio_api/upload") || how?.method !== "POST") return plain(what, how);
    const before = readPending();
    if (box?.matches("#upload")) writePending([...before, ...how.body.getAll("files").map((file) => file.name)]);
    let response;
    try { response = await plain(what, how); } catch (error) { showNote(UNREACHED); throw error; }
    if (!response.ok) {
      writePending(before);
      showNote(await refusalText(response.clone()));
    }
    return response;
  };

  /* ---- restarts: this tab stores the names of its pending uploads with the id of the running demo ---- */
  const run = () => String(window.gradio_config?.app_id ?? "");

  function stored() {
    try { return JSON.parse(sessionStorage.getItem(STORAGE_KEY)) ?? {}; } catch { return {}; }
  }

  function readPending() {
    const { of, files } = stored();
    return of === run() && Array.isArray(files) ? files : [];
  }

  function writePending(files) {
    try {
      if (files.length) sessionStorage.setItem(STORAGE_KEY, JSON.stringify({ of: run(), files }));
      else sessionStorage.removeItem(STORAGE_KEY);
    } catch { /* Without storage, a restart cannot be reported. */ }
  }

  function reportInterrupted() {
    const { of, files } = stored();
    if (!run() || !Array.isArray(files) || of === run()) return;
    const banner = document.createElement("p"), host = document.createElement("div");
    banner.className = "banner is-fallback";
    banner.textContent = `The demo was restarted while it was processing ${names(files.map(String))}. `
      + "Check the Library, and add a file again if its pages are missing.";
    host.id = "restarted";
    host.setAttribute("role", "status");
    host.append(banner);
    document.querySelector("#status").after(host);
    writePending([]);
  }

  window.smartIntake = {
    /* The list of uploads on the page replaces the stored names. */
    list(element, watch) {
      const look = () => writePending([...element.querySelectorAll(".is-working .arrival-name")].map((node) => node.textContent));
      watch("value", () => requestAnimationFrame(look));
    },
    forget: () => writePending([]),
  };

  const waiting = new MutationObserver(() => {
    if (!document.querySelector("#status")) return;
    waiting.disconnect();
    reportInterrupted();
  });
  waiting.observe(document, { childList: true, subtree: true });
})();
