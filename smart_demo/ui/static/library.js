/**
 * @file The tab Library: uploads and documents.
 *
 * Files over a limit are skipped before they are sent, a refusal shows the server's reason instead of Gradio's "Error",
 * and uploads that a restart interrupted are named. The server checks every limit again.
 */
import { forgetPictures } from "./pictures.js";
import { openTabForAnswer } from "./addresses.js";
import { SILENT, answerOf, askToDelete, confirmDelete, make, openTab, visitor } from "./tools.js";

const BOXES = "#upload, #adding-panel, #picture, #board-file, #list-file";
/** The boxes of documents, whose limits are known here. */
const DOCUMENT_BOXES = "#upload, #adding-panel";
const ROWS = "#ask, .row";
const STORAGE_KEY = "smart-demo-on-their-way";
const UNREACHED = "The upload did not reach the demo. Add the files again.";
const MAX_SENTENCE_CHARS = 400;

/** The box that the last files were given to. */
let box = null;

const countFiles = (number) => `${number} ${number === 1 ? "file" : "files"}`;

/** Return the names of at most three files, shortened, and how many more there are. */
function listNames(names) {
  const few = names.slice(0, 3).map((name) => (name.length > 60 ? `${name.slice(0, 57)}…` : name));
  const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
  return few.join(", ") + more;
}

// ---- a note below the box, until the next files are chosen ----

/** Show a sentence below the box that the last files were given to. */
export function showNote(sentence) {
  const place = box?.matches("#upload") ? box : (box?.closest(ROWS) ?? box);
  if (!place?.isConnected || !sentence) return;
  const isPanel = place.matches("#adding-panel");
  let note = isPanel ? place.querySelector(".upload-note") : place.nextElementSibling;
  if (!note?.matches(".upload-note")) {
    note = make("div", { class: "notice upload-note", role: "alert" });
    if (isPanel) place.append(note);
    else place.after(note);
  }
  if (isPanel && !note.firstElementChild) note.append(closeButton(note));
  note.append(make("p", {}, sentence));
}

/** Return a button that removes a note: this one stays in sight while the page is scrolled. */
function closeButton(note) {
  const button = make("button", { type: "button", class: "quiet-button", "aria-label": "Dismiss this message" }, "✕");
  button.addEventListener("click", () => note.remove());
  return button;
}

/** Remember the box that files are given to, and remove the notes on the files before. */
export function startUpload(at) {
  box = at;
  for (const note of document.querySelectorAll(".upload-note")) note.remove();
}

// ---- before anything is sent ----

/** Return the files within the limits, and note below the box which ones are not. */
function withinLimits(files) {
  const { mostFiles, mostBytes } = document.querySelector("[data-most-files]")?.dataset ?? {};
  if (!mostFiles) return files;
  const maxFiles = Number(mostFiles);
  const maxBytes = Number(mostBytes);
  const tooLarge = files.filter((file) => file.size > maxBytes);
  const fit = files.filter((file) => file.size <= maxBytes);
  const over = fit.slice(maxFiles);
  const namesOf = (some) => listNames(some.map((file) => file.name));
  if (tooLarge.length) {
    const limit = `${Math.floor(maxBytes / 1_000_000)} MB`;
    showNote(`Not sent, over ${limit}: ${namesOf(tooLarge)}. Split the file or make it smaller, then add it again.`);
  }
  if (over.length) {
    const limit = `${countFiles(maxFiles)} at once`;
    showNote(`Not sent, over ${limit}: ${namesOf(over)}. Add them when these uploads are finished.`);
  }
  return fit.slice(0, maxFiles);
}

function toDataTransfer(files) {
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(file);
  return transfer;
}

function checkChosen(event) {
  const input = event.target;
  const at = input.type === "file" && input.files.length && input.closest(BOXES);
  if (!at) return;
  startUpload(at);
  if (!at.matches(DOCUMENT_BOXES)) return;
  const chosen = [...input.files];
  const fit = withinLimits(chosen);
  if (fit.length === chosen.length) return;
  input.files = toDataTransfer(fit).files;
  if (!fit.length) event.stopImmediatePropagation();
}

function checkDropped(event) {
  const at = event.target.closest?.("#upload");
  const chosen = [...(event.dataTransfer?.files ?? [])];
  if (!at || !chosen.length || event.smartChecked) return;
  startUpload(at);
  const fit = withinLimits(chosen);
  if (fit.length === chosen.length) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const again = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: toDataTransfer(fit) });
  again.smartChecked = true;
  event.target.dispatchEvent(again);
}

addEventListener("change", checkChosen, true);
addEventListener("drop", checkDropped, true);

// ---- refusals by the server ----

async function refusalText(response) {
  const isText = (response.headers.get("content-type") ?? "").startsWith("text/plain");
  const text = isText ? (await response.text()).trim() : "";
  if (text && text.length < MAX_SENTENCE_CHARS && response.status !== 500) return text;
  return `The upload failed (${response.status}). Add the files again in a moment.`;
}

/** Return the response to an upload of `form`, and show why it failed if it did. Called by `fetch` in `head.js`. */
export async function watchUpload(send, form) {
  const before = readPending();
  if (box?.matches(DOCUMENT_BOXES)) writePending([...before, ...form.getAll("files").map((file) => file.name)]);
  let response;
  try {
    response = await send();
  } catch (error) {
    showNote(UNREACHED);
    throw error;
  }
  if (!response.ok) {
    writePending(before);
    showNote(await refusalText(response.clone()));
  }
  return response;
}

// ---- restarts: this tab stores the names of its pending uploads with the id of the running demo ----

const runningDemo = () => String(window.gradio_config?.app_id ?? "");

function readStored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORAGE_KEY)) ?? {};
  } catch {
    return {};
  }
}

function readPending() {
  const { of, files } = readStored();
  return of === runningDemo() && Array.isArray(files) ? files : [];
}

function writePending(files) {
  try {
    if (files.length) sessionStorage.setItem(STORAGE_KEY, JSON.stringify({ of: runningDemo(), files }));
    else sessionStorage.removeItem(STORAGE_KEY);
  } catch {
    // Without storage, a restart cannot be reported.
  }
}

function reportInterrupted() {
  const { of, files } = readStored();
  if (!runningDemo() || !Array.isArray(files) || of === runningDemo()) return;
  const sentence =
    `The demo was restarted while it was processing ${listNames(files.map(String))}. ` +
    "Check the Library, and add a file again if its pages are missing.";
  const banner = make("p", { class: "banner is-fallback" }, sentence);
  document.querySelector("#status").after(make("div", { id: "restarted", role: "status" }, banner));
  writePending([]);
}

function reportWhenReady() {
  if (document.querySelector("#status")) {
    reportInterrupted();
    return;
  }
  const page = new MutationObserver(() => {
    if (!document.querySelector("#status")) return;
    page.disconnect();
    reportInterrupted();
  });
  page.observe(document, { childList: true, subtree: true });
}

reportWhenReady();

/** Hook of the list of uploads: the uploads that it shows as working replace the stored names. */
export function uploads(element, watch) {
  const update = () => {
    const names = [...element.querySelectorAll(".is-working .upload-name")];
    writePending(names.map((node) => node.textContent));
  };
  watch("value", () => requestAnimationFrame(update));
}

// ---- documents ----

function confirmDeleteDocument(button, onConfirm) {
  const name = make("b", {}, button.dataset.name);
  const what = `${button.dataset.facts}. Its pages, vectors and pictures are removed from the disk.`;
  confirmDelete(button, "Delete this document?", [name, make("br"), what], onConfirm);
}

/** Ask before everything is deleted, report the result, then reload the page with a new visitor secret. */
function confirmDeleteAll(button, server) {
  const { dialog, heading, body, keep, remove } = askToDelete(
    button,
    "Delete all your documents and judgements?",
    [
      "All your documents with their pages, vectors and pictures, and all your judgements are removed from the disk. " +
        "This cannot be undone.",
    ],
    "Delete everything",
  );
  body.setAttribute("role", "status");
  remove.addEventListener("click", async () => {
    remove.disabled = keep.disabled = true;
    const answer = await answerOf(() => server.forget({ sure: true }));
    body.textContent = answer.done ?? answer.sentence ?? SILENT;
    if (answer.done) {
      heading.textContent = "Deleted";
      visitor.renew();
      forgetPictures();
      writePending([]);
      dialog.addEventListener("close", () => location.assign(location.pathname));
    }
    remove.remove();
    keep.textContent = "Close";
    keep.disabled = false;
    keep.focus();
  });
}

/** Search in a library, by the clicks that a visitor would make. */
export function searchIn(scope) {
  const choice = () => document.querySelector(`#scope input[value="${scope}"]`);
  if (choice()?.checked) openTab("compare");
  else openTabForAnswer("compare");
  setTimeout(() => {
    choice()?.click();
    document.querySelector("#query textarea")?.select();
  }, 60);
}

/** Hook of the list of the visitor's documents. */
export function documents(element, server, trigger) {
  element.addEventListener("click", (event) => {
    const everything = event.target.closest("[data-forget]");
    if (everything) confirmDeleteAll(everything, server);
    const button = event.target.closest("[data-remove]");
    if (button) confirmDeleteDocument(button, () => trigger("delete", { file: button.dataset.remove }));
    const reencoding = event.target.closest("[data-reencoding]");
    if (reencoding) {
      reencoding.disabled = true; // until the next answer draws it anew
      trigger(reencoding.dataset.reencoding === "start" ? "select" : "stop", {});
    }
    const library = event.target.closest("[data-search-in]");
    if (library) searchIn(library.dataset.searchIn);
  });
}
