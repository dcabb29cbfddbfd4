/**
 * @file Pictures of pages, by their addresses.
 *
 * A sample's picture is an ordinary image. A visitor's own picture needs the visitor's header, which browsers send with
 * no image: such an image names its address in `data-picture`, and here it is fetched as soon as the image is on the
 * page. Callers only insert the markup.
 */
import { SILENT, answerOf, pauseBeforeRetry } from "./tools.js";

const OWN = "pictures/own/";
const NO_PAGE = "The page could not be fetched. Is the demo still running?";
/** Fetched pictures in memory: their number, and their bytes together. */
const MAX_PICTURES = 400;
const MAX_BYTES = 64_000_000;
/** Pages whose address is known without asking the server. */
const MAX_PAGES = 24;

// ---- own pictures, fetched ----

/** `{url, size}` by address, the least recently used first. */
const fetched = new Map();
/** Promises of addresses that are being fetched. */
const pending = new Map();
/** Changes when everything fetched is forgotten, so that a picture which arrives later is dropped. */
let epoch = 0;

/** Return a URL that an image can show for an address of the server. Fails if there is no picture at it. */
export async function pictureUrl(address) {
  if (!address.startsWith(OWN)) return address;
  const url = fetchedUrl(address);
  if (url) return url;
  if (!pending.has(address))
    pending.set(
      address,
      fetchPicture(address).finally(() => pending.delete(address)),
    );
  return pending.get(address);
}

function fetchedUrl(address) {
  const stored = fetched.get(address);
  if (!stored) return "";
  fetched.delete(address);
  fetched.set(address, stored);
  return stored.url;
}

async function fetchPicture(address) {
  const before = epoch;
  const response = await fetch(address);
  if (!response.ok) throw new Error(`no picture: ${response.status}`);
  const blob = await response.blob();
  if (before !== epoch) throw new Error("the picture was deleted");
  const url = URL.createObjectURL(blob);
  fetched.set(address, { url, size: blob.size });
  releaseSurplus();
  return url;
}

/** Release the least recently used pictures beyond the limits, but none that is on the page. */
function releaseSurplus() {
  let bytes = [...fetched.values()].reduce((sum, { size }) => sum + size, 0);
  for (const [address, { url, size }] of fetched) {
    if (fetched.size <= MAX_PICTURES && bytes <= MAX_BYTES) return;
    if (document.querySelector(`img[src="${url}"]`)) continue;
    URL.revokeObjectURL(url);
    fetched.delete(address);
    bytes -= size;
  }
}

/** Forget every fetched picture, after its visitor has deleted everything. */
export function forgetPictures() {
  epoch += 1;
  for (const { url } of fetched.values()) URL.revokeObjectURL(url);
  fetched.clear();
  pageAddresses.clear();
}

// ---- images on the page ----

/** Begin of the address of what is shown until a picture has arrived. */
const PLACEHOLDER = "data:image/svg+xml,";

/** Return the address of an empty picture of an image's size, so that nothing moves when the real one arrives. */
function placeholder({ width, height }) {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"/>`;
  return PLACEHOLDER + encodeURIComponent(svg);
}

/** Return what an image shows, or an empty string if its picture has not arrived. */
export const shownPicture = (image) => (image && !image.src.startsWith(PLACEHOLDER) ? image.src : "");

/** Show a blank page in place of a picture that cannot be had. */
function showBlank(image) {
  const blank = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const [width, height] = ["width", "height"].map((side) => image.getAttribute(side) ?? "1");
  const attributes = {
    class: `${image.className} missing`,
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    style: `--aspect:${width / height}`,
  };
  for (const [name, value] of Object.entries(attributes)) blank.setAttribute(name, value);
  image.replaceWith(blank);
}

/** Address that each image shows or waits for. */
const wanted = new WeakMap();

/** Return whether an image shows what it names, or waits for it. */
function isSettled(image, address) {
  // A copy of an image shows what the image showed.
  if (!wanted.has(image)) return image.src.startsWith("blob:");
  return wanted.get(image) === address && image.hasAttribute("src");
}

async function showPicture(image) {
  const address = image.dataset.picture;
  if (isSettled(image, address)) return;
  wanted.set(image, address);
  const known = fetchedUrl(address);
  const [width, height] = ["width", "height"].map((side) => image.getAttribute(side));
  image.src = known || placeholder({ width, height });
  if (known) return;
  try {
    const url = await pictureUrl(address).catch(() => pauseBeforeRetry().then(() => pictureUrl(address)));
    if (image.dataset.picture === address) image.src = url;
  } catch {
    if (image.dataset.picture === address) showBlank(image);
  }
}

/** Fetch and show the own pictures in a part of the page. It happens by itself for all that is added to the page. */
export function showPictures(root) {
  if (root.matches?.("img[data-picture]")) showPicture(root);
  for (const image of root.querySelectorAll?.("img[data-picture]") ?? []) showPicture(image);
}

// Gradio changes the attributes of images that a new answer has in the same place, so these are observed too.
new MutationObserver((changes) => {
  for (const { type, target, addedNodes } of changes) {
    if (type === "attributes") showPictures(target);
    else addedNodes.forEach(showPictures);
  }
}).observe(document, { childList: true, subtree: true, attributeFilter: ["data-picture", "src"] });
showPictures(document);

/** Address that failed once, by image. */
const failed = new WeakMap();

/** Request a failed picture once more, then give up. */
async function onError(image) {
  const { src } = image;
  if (failed.get(image) === src) {
    showBlank(image);
    return;
  }
  failed.set(image, src);
  await pauseBeforeRetry();
  if (image.src === src) image.src = src;
}

// The error of an image does not bubble, so it is listened to on its way down.
document.addEventListener("error", ({ target }) => target.matches?.(".page-picture") && onError(target), true);

// ---- whole pages ----

/** Address of a page's picture by the page's key, the oldest first. URLs are not stored: they may be released. */
const pageAddresses = new Map();
/** Promises of pages that are being loaded. */
const loading = new Map();

/** Return `{picture}`, a URL of a page's picture that shows at once, or `{sentence}`. */
export function loadPicture(server, page) {
  if (!loading.has(page))
    loading.set(
      page,
      loadPage(server, page).finally(() => loading.delete(page)),
    );
  return loading.get(page);
}

async function loadPage(server, page) {
  const known = pageAddresses.get(page);
  const shown = known && (await decodedUrl(known).catch(() => ""));
  if (shown) return { picture: shown };
  // The address of an own picture is valid for some minutes only.
  pageAddresses.delete(page);
  const answer = await answerOf(() => server.picture(page), NO_PAGE);
  if (!answer.picture) return { sentence: answer.sentence ?? SILENT };
  try {
    const picture = await decodedUrl(answer.picture);
    pageAddresses.set(page, answer.picture);
    if (pageAddresses.size > MAX_PAGES) pageAddresses.delete(pageAddresses.keys().next().value);
    return { picture };
  } catch {
    return { sentence: NO_PAGE };
  }
}

/** Return the URL of a picture when the browser has decoded it, so that an image changes to it at once. */
async function decodedUrl(address) {
  const image = new Image();
  image.src = await pictureUrl(address);
  await image.decode();
  return image.src;
}

/** Return the URL of a page's picture if it was loaded before and is still in memory. */
export function loadedPicture(page) {
  const address = pageAddresses.get(page);
  return address && (address.startsWith(OWN) ? fetchedUrl(address) || undefined : address);
}
