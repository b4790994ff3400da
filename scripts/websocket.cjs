// Node before version 20 has no WebSocket of its own; that of Debian's node-ws is as a browser's.
globalThis.WebSocket ??= require('ws').WebSocket
