// Node 20 has no WebSocket of its own; browsers and later versions do.
import WebSocket from "ws";

export function useSockets() {
  globalThis.WebSocket ??= WebSocket;
}
