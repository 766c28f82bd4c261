// A file field that takes what is dropped around it. Without it the field is chosen as any other.
for (const place of document.querySelectorAll("[data-drop]")) {
  const field = place.querySelector("input[type=file]");
  const hint = place.querySelector("[data-drop-hint]");
  hint.textContent = "You can drop a file here.";

  const tell = () => { hint.textContent = field.files.length ? `Chosen: ${field.files[0].name}` : "You can drop a file here."; };
  field.addEventListener("change", tell);
  place.addEventListener("dragover", (event) => { event.preventDefault(); place.classList.add("over"); });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    const chosen = new DataTransfer();
    chosen.items.add(event.dataTransfer.files[0]); // one, as the field takes
    field.files = chosen.files;
    tell();
  });
}
