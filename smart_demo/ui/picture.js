/* The picture of a query: removes it, and attaches one that is dropped or pasted on the query box. */
(() => {
  "use strict";
  const box = () => document.querySelector("#query textarea, #query input");
  const chooser = () => document.querySelector('#ask input[type="file"]');
  let usual;

  function updatePlaceholder(element) {
    const input = box();
    if (!input) return;
    usual ??= input.placeholder;
    input.placeholder = element.querySelector(".like") ? "Add words, or search with the picture alone" : usual;
  }

  window.smartDemo.like = (element, trigger, watch) => {
    element.addEventListener("click", (event) => {
      if (!event.target.closest(".like-drop")) return;
      trigger("clear", {});
      box()?.focus();
    });
    watch("value", () => updatePlaceholder(element));
    updatePlaceholder(element);
  };

  /* With this attribute a phone offers its camera. The server decides by the bytes what a file is. */
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#picture")) chooser()?.setAttribute("accept", "image/*");
  }, true);

  function attach(files) {
    const picture = [...(files ?? [])].find((file) => file.type.startsWith("image/")), input = chooser();
    if (!picture || !input) return false;
    const transfer = new DataTransfer();
    transfer.items.add(picture);
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  }

  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("#ask") && attach(event.clipboardData?.files)) event.preventDefault();
  });
  for (const name of ["dragover", "dragleave", "drop"]) document.addEventListener(name, (event) => {
    const row = event.target.closest?.("#ask");
    if (!row || !chooser() || !event.dataTransfer?.types.includes("Files")) return;
    row.classList.toggle("is-dropping", name === "dragover");
    if (name === "dragleave") return;
    event.preventDefault();
    if (name === "drop") attach(event.dataTransfer.files);
  });
})();
