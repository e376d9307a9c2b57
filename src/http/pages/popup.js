// The end of a pop-up: tells the page that opened it, and nobody of another origin, how it ended.
(() => {
  const { origin, told, next } = document.getElementById('told').dataset;
  if (window.opener) {
    window.opener.postMessage(JSON.parse(told), origin);
    window.close();
  } else if (next) {
    window.location.replace(next);
  }
})();
