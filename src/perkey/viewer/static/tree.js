// A tree that is brought up to date keeps the branches open that the reader has opened.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.id !== "tree") return;
  const open = event.detail.elt.querySelectorAll("details[open]");
  event.detail.parameters.delete("open");
  for (const each of open) event.detail.parameters.append("open", each.dataset.prefix);
});
