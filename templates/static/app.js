// Progressive enhancement only: without this file every page still works, except
// that passkeys cannot. The JSON spoken here is described in the package's doc.go.
// Old syntax on purpose: it has to parse in ten-year-old phones.
(function () {
  "use strict";

  var doc = document;
  var POLL_EVERY = 2000; // ms; a person picks up a phone in seconds
  var POLL_LIMIT = 300; // ten minutes, longer than any step lives
  var RENEW_AFTER = 240000; // a challenge lives five minutes

  function each(selector, run) {
    Array.prototype.forEach.call(doc.querySelectorAll(selector), run);
  }

  // go follows only paths of our own.
  function go(next) {
    if (typeof next !== "string" || !/^\/(?![\/\\])/.test(next)) {
      return false;
    }
    window.location.assign(next);
    return true;
  }

  function post(box, url, body) {
    return fetch(url, {
      method: "POST",
      credentials: "same-origin",
      headers: {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "X-CSRF-Token": box.getAttribute("data-csrf")
      },
      body: JSON.stringify(body)
    }).then(function (response) {
      return response.json();
    });
  }

  // base64url for browsers without parse…FromJSON and toJSON.
  function bytes(text) {
    var raw = atob(String(text).replace(/-/g, "+").replace(/_/g, "/"));
    var out = new Uint8Array(raw.length);
    for (var i = 0; i < raw.length; i++) {
      out[i] = raw.charCodeAt(i);
    }
    return out.buffer;
  }
  function text(buffer) {
    var view = new Uint8Array(buffer), raw = "";
    for (var i = 0; i < view.length; i++) {
      raw += String.fromCharCode(view[i]);
    }
    return btoa(raw).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  function parseOptions(kind, json) {
    var native = kind === "create" ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON";
    if (typeof PublicKeyCredential[native] === "function") {
      return PublicKeyCredential[native](json);
    }
    function ids(list) {
      return (list || []).map(function (c) {
        return { type: c.type, id: bytes(c.id), transports: c.transports };
      });
    }
    json.challenge = bytes(json.challenge);
    if (json.user) {
      json.user.id = bytes(json.user.id);
    }
    if (json.allowCredentials) {
      json.allowCredentials = ids(json.allowCredentials);
    }
    if (json.excludeCredentials) {
      json.excludeCredentials = ids(json.excludeCredentials);
    }
    return json;
  }

  function credentialJSON(credential) {
    if (typeof credential.toJSON === "function") {
      try {
        return credential.toJSON();
      } catch (ignored) {
        // Some password managers hand out a credential whose toJSON throws.
      }
    }
    var from = credential.response, to = {};
    ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"].forEach(function (name) {
      if (from[name]) {
        to[name] = text(from[name]);
      }
    });
    if (typeof from.getTransports === "function") {
      to.transports = from.getTransports();
    }
    return {
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      authenticatorAttachment: credential.authenticatorAttachment || undefined,
      clientExtensionResults: credential.getClientExtensionResults(),
      response: to
    };
  }

  function passkeys(box) {
    var kind = box.getAttribute("data-passkey");
    var button = box.querySelector("[data-passkey-go]");
    var status = box.querySelector("[data-status]");
    var waiting = null; // the AbortController of the conditional request

    function tell(message, bad) {
      status.textContent = message;
      status.className = bad ? "status bad" : "status";
    }
    function stop() {
      if (waiting) {
        waiting.abort();
        waiting = null;
      }
    }

    // ceremony runs options → authenticator → finish. It rejects with what the
    // browser says; what the server says is shown here.
    function ceremony(extra) {
      var rpId = "";
      return post(box, box.getAttribute("data-options-url"), {}).then(function (answer) {
        if (!answer.publicKey) {
          throw answer;
        }
        rpId = answer.publicKey.rpId || "";
        var request = { publicKey: parseOptions(kind, answer.publicKey) };
        Object.keys(extra).forEach(function (name) {
          request[name] = extra[name];
        });
        return navigator.credentials[kind](request);
      }).then(function (credential) {
        return post(box, box.getAttribute("data-finish-url"), credentialJSON(credential)).then(function (answer) {
          if (answer.unknown_credential && rpId && PublicKeyCredential.signalUnknownCredential) {
            PublicKeyCredential.signalUnknownCredential({ rpId: rpId, credentialId: credential.id })["catch"](function () {});
          }
          if (!go(answer.next)) {
            throw answer;
          }
        });
      });
    }

    function press() {
      stop();
      button.disabled = true;
      tell(box.getAttribute("data-busy"), false);
      ceremony({})["catch"](function (reason) {
        button.disabled = false;
        if (reason && typeof reason.problem === "string") {
          tell(reason.problem, true);
        } else if (reason && (reason.name === "NotAllowedError" || reason.name === "AbortError")) {
          tell(box.getAttribute("data-cancelled"), true);
        } else {
          tell(box.getAttribute("data-failed"), true);
        }
      });
    }

    // listen offers passkeys in the user name's autofill. A silent no is an answer:
    // only a request that is still waiting is renewed, before its challenge dies.
    function listen() {
      if (button.disabled) {
        return;
      }
      var mine = new AbortController();
      waiting = mine;
      var renew = setTimeout(function () {
        if (waiting === mine) {
          stop();
          listen();
        }
      }, RENEW_AFTER);
      ceremony({ mediation: "conditional", signal: mine.signal })["catch"](function (reason) {
        clearTimeout(renew);
        if (waiting === mine) {
          waiting = null;
        }
        if (reason && typeof reason.problem === "string") {
          tell(reason.problem, true);
        }
      });
    }

    if (!window.PublicKeyCredential || !navigator.credentials || !window.fetch) {
      if (!box.hasAttribute("data-conditional")) {
        tell(box.getAttribute("data-unsupported"), true);
      }
      return;
    }
    box.className += " ready";
    button.hidden = false;
    button.addEventListener("click", press);
    if (box.hasAttribute("data-conditional") && window.AbortController &&
        typeof PublicKeyCredential.isConditionalMediationAvailable === "function") {
      PublicKeyCredential.isConditionalMediationAvailable().then(function (yes) {
        if (yes) {
          listen();
        }
      })["catch"](function () {});
    }
  }

  function poll(form) {
    var asked = 0;
    function ask() {
      if (asked++ >= POLL_LIMIT) {
        return;
      }
      fetch(form.getAttribute("data-poll-url"), {
        credentials: "same-origin",
        cache: "no-store",
        headers: { "Accept": "application/json" }
      }).then(function (response) {
        return response.ok ? response.json() : {};
      }).then(function (answer) {
        if (!go(answer.next)) {
          setTimeout(ask, POLL_EVERY);
        }
      })["catch"](function () {
        setTimeout(ask, 3 * POLL_EVERY); // offline, or a replica is restarting
      });
    }
    if (window.fetch) {
      setTimeout(ask, POLL_EVERY);
    }
  }

  function reveal(button) {
    var input = doc.getElementById(button.getAttribute("data-reveal"));
    var show = button.textContent, hide = button.getAttribute("data-on");
    function set(open) {
      input.type = open ? "text" : "password";
      button.textContent = open ? hide : show;
    }
    button.hidden = false;
    button.addEventListener("click", function () {
      set(input.type === "password");
      input.focus();
    });
    // A shown password would be kept among the browser's form entries.
    input.form.addEventListener("submit", function () {
      set(false);
    });
  }

  // fileInto puts the text of a chosen file into a field, where it can be seen before it
  // is sent.
  function fileInto(box) {
    var chosen = box.querySelector("input"), field = doc.getElementById(box.getAttribute("data-file-into"));
    box.hidden = false;
    chosen.addEventListener("change", function () {
      var reader = new FileReader();
      if (!chosen.files.length) {
        return;
      }
      reader.onload = function () {
        field.value = reader.result;
      };
      reader.readAsText(chosen.files[0]);
    });
  }

  each("[data-passkey]", passkeys);
  each("[data-poll-url]", poll);
  each("[data-submit]", function (form) { form.submit(); });
  each("[data-reveal]", reveal);
  each("[data-file-into]", fileInto);
  each("[data-print]", function (button) {
    button.hidden = false;
    button.addEventListener("click", function () {
      window.print();
    });
  });
}());
