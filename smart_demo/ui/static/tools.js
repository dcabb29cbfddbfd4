/** @file What all modules use: elements, dialogs, requests to the server, downloads, the clipboard, the address. */

/** The visitor's secret, and its replacement: `head.js` needs both before any module has loaded. */
export const { visitor } = window.smartDemo;

export const SILENT = "The demo does not answer. Is it still running?";

// ---- elements ----

/** Return a new element. Strings among the children become text, never markup. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Return where dialogs are appended: Gradio scopes the media queries of the style sheets to `.contain`. */
export const stage = () => document.querySelector(".gradio-container .contain") ?? document.body;

/** Return whether the visitor's system asks for less motion. */
export const prefersCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Return the fields of the answer on the screen as JSON, or an empty string if there is none. */
export const askedFields = () => document.querySelector(".answer[data-asked]")?.dataset.asked ?? "";

/** Return the button of a tab by the tab's id. Those that do not fit a narrow page are in a menu, without ids. */
export function tabButton(id) {
  const shown = document.querySelector(`#tabs [role="tab"][data-tab-id="${id}"]`);
  if (shown) return shown;
  const tab = window.gradio_config?.components?.find(({ type, props }) => type === "tabitem" && props.id === id);
  const hidden = [...document.querySelectorAll("#tabs .overflow-dropdown button")];
  return hidden.find((button) => button.textContent.trim() === tab?.props.label);
}

/** Open a tab of the page by its id. */
export function openTab(id) {
  tabButton(id)?.click();
}

/** An element of a page that is scrolled counts as visible wherever it is, also in a frame. */
const WHOLE_PAGE = { root: document, rootMargin: "100000px" };

/** Call `refresh` whenever an element becomes visible. Returns a function that says whether it is. */
export function whenShown(element, refresh) {
  let isVisible = false;
  new IntersectionObserver((entries) => {
    const wasVisible = isVisible;
    isVisible = entries.at(-1).isIntersecting;
    if (isVisible && !wasVisible) refresh();
  }, WHOLE_PAGE).observe(element);
  return () => isVisible;
}

/** Put a box, [left, top, right, bottom] in fractions of its parent, on a node. */
export function placeBox(node, box) {
  const [left, top, right, bottom] = box.map((side) => side * 100);
  Object.assign(node.style, {
    left: `${left}%`,
    top: `${top}%`,
    width: `${right - left}%`,
    height: `${bottom - top}%`,
  });
}

/** Open a dialog that asks whether to delete something, and return its parts. `opener` gets the focus back. */
export function askToDelete(opener, title, text, verb = "Delete") {
  const heading = make("h2", { id: "confirm-title" }, title);
  const body = make("p", {}, ...text);
  const keep = make("button", { type: "button", class: "quiet-button" }, "Keep it");
  const remove = make("button", { type: "button", class: "delete-button" }, verb);
  const tools = make("div", { class: "confirm-tools" }, keep, remove);
  const dialog = make("dialog", { class: "confirm", "aria-labelledby": "confirm-title" }, heading, body, tools);
  keep.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (opener.isConnected) opener.focus();
  });
  stage().append(dialog);
  dialog.showModal();
  keep.focus();
  return { dialog, heading, body, keep, remove };
}

/** Ask whether to delete something, and call `onConfirm` if the visitor agrees. */
export function confirmDelete(opener, title, text, onConfirm) {
  const { dialog, remove } = askToDelete(opener, title, text);
  remove.addEventListener("click", () => {
    dialog.close();
    onConfirm();
  });
  closeOnBackdrop(dialog);
}

// ---- requests to the server ----

/** Return the answer of `call`, or an object with a `sentence` if there is none. */
export async function answerOf(call, silent = SILENT) {
  try {
    return (await call()) ?? { sentence: silent };
  } catch {
    return { sentence: silent };
  }
}

/** The last answers of the server by key. Error sentences are not stored. */
export class AnswerCache {
  #stored = new Map();
  #limit;
  #silent;

  constructor(limit, silent = SILENT) {
    this.#limit = limit;
    this.#silent = silent;
  }

  /** Return the stored answer, or call the server. */
  async recall(key, call) {
    const stored = this.#stored;
    if (stored.has(key)) return stored.get(key);
    const answer = await answerOf(call, this.#silent);
    if (answer.sentence) return answer;
    stored.set(key, answer);
    if (stored.size > this.#limit) stored.delete(stored.keys().next().value);
    return answer;
  }

  /**
   * Discard all answers whenever the screen shows a new one, and those on their way when they arrive: documents may have
   * been added or deleted since.
   */
  forgetOnAnswer() {
    document.addEventListener("answered", () => (this.#stored = new Map()));
    return this;
  }
}

/** Milliseconds until a failed request is repeated once. */
const RETRY_MS = 2000;

/** Resolve when a failed request may be repeated. */
export const pauseBeforeRetry = () => new Promise((resolve) => setTimeout(resolve, RETRY_MS));

// ---- downloads and the clipboard ----

/** Let the browser save a file made in memory. */
export function saveFile(file, name) {
  const link = make("a", { href: URL.createObjectURL(file), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Copy a text, return whether it worked, and keep the focus on `button`. */
export async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without a secure address, or inside a frame, the browser only copies what is selected.
    const area = make("textarea", { "aria-hidden": "true" });
    area.value = text;
    button.after(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    button.focus();
    return copied;
  }
}

// ---- the address ----

/** The address of the page. Its part `page` is the page open in the viewer; older links call it `at`. */
export const address = {
  read: () => new URLSearchParams(location.search),
  page: () => address.read().get("page") ?? address.read().get("at") ?? "",
  build: (parts) => `${location.pathname}${parts.size ? `?${parts}` : ""}`,
};

/** Close a dialog by a click beside it. A drag that ends there is a click on the dialog too, but does not begin there. */
export function closeOnBackdrop(dialog) {
  let pressed;
  dialog.addEventListener("pointerdown", (event) => (pressed = event.target));
  dialog.addEventListener("click", (event) => event.target === dialog && pressed === dialog && dialog.close());
}
