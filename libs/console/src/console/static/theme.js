// Before anything is drawn, so that no page flashes in the other colours. Without a choice the system's holds.
{
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}
