/** Where an owner's engine is. Nothing named means: looked for in the usual places, in order. */
export interface EngineAddress {
  /** Path of the engine's unix socket. */
  socketPath?: string
  /** Instead: `unix:///path`, `tcp://host:2375`, `http://host:2375`, `https://host:2376`, `npipe:////./pipe/name`. */
  host?: string
  /** PEM texts for an engine behind TLS; given, `tcp://` means TLS. */
  tls?: EngineTls
  /**
   * Variables that name an engine or lead to its socket; only these are read. A library reads no
   * environment by itself: a program hands over what it wants to be honoured. `DOCKER_HOST` and
   * `CONTAINER_HOST` count as the owner's word: when they are set, nothing else is tried.
   */
  env?: EngineEnvironment
}

export interface EngineTls {
  /** Who signs the engine's certificate; default the system's authorities. */
  ca?: string | Uint8Array
  cert?: string | Uint8Array
  key?: string | Uint8Array
}

export interface EngineEnvironment {
  DOCKER_HOST?: string
  /** Directory of `ca.pem`, `cert.pem` and `key.pem`. */
  DOCKER_CERT_PATH?: string
  /** Anything but empty: TLS, and the engine's certificate is verified. */
  DOCKER_TLS_VERIFY?: string
  /** Podman's own variable. */
  CONTAINER_HOST?: string
  XDG_RUNTIME_DIR?: string
  HOME?: string
}
