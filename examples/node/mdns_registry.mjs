// mdns_registry in Node.js, by koffi. What can wait is a promise: it waits on a worker thread, and the event loop runs on.
import koffi from 'koffi'
import { promisify } from 'node:util'

const lib = koffi.load('libmdns_registry.so.0')
koffi.opaque('mdnsreg_registry')
koffi.opaque('mdnsreg_watch')
koffi.opaque('mdnsreg_event')
koffi.opaque('mdnsreg_error')
koffi.disposable('mdnsreg_text', 'str', lib.func('void mdnsreg_string_free(void *string)'))

const errorCode = lib.func('int mdnsreg_error_code(mdnsreg_error *error)')
const errorMessage = lib.func('str mdnsreg_error_message(mdnsreg_error *error)')
const errorFree = lib.func('void mdnsreg_error_free(mdnsreg_error *error)')
const eventJson = lib.func('str mdnsreg_event_json(mdnsreg_event *event)')
const eventFree = lib.func('int mdnsreg_event_free(mdnsreg_event *event)')

/** The function `mdnsreg_NAME`, as one that returns a promise of its status and throws what it says went wrong. */
function declare(name, parameters) {
  const call = promisify(lib.func(`int mdnsreg_${name}(${parameters}, _Out_ mdnsreg_error **err)`).async)
  return async (...args) => {
    const err = [null]
    const status = await call(...args, err)
    if (status >= 0) return status
    const error = failure(errorCode(err[0]), errorMessage(err[0]))
    errorFree(err[0])
    throw error
  }
}

function failure(code, message) {
  return Object.assign(new Error(message), { code })
}

const open = declare('open', 'str options, _Out_ mdnsreg_registry **out')
const register = declare('register', 'mdnsreg_registry *registry, str service, str options')
const deregister = declare('deregister', 'mdnsreg_registry *registry, str service')
const getService = declare('get_service', 'mdnsreg_registry *registry, str name, _Out_ mdnsreg_text *out')
const listServices = declare('list_services', 'mdnsreg_registry *registry, _Out_ mdnsreg_text *out')
const watchOpen = declare('watch_open', 'mdnsreg_registry *registry, str options, _Out_ mdnsreg_watch **out')
const watchNext = declare('watch_next', 'mdnsreg_watch *watch, int64_t timeout_ms, _Out_ mdnsreg_event **out')
const close = promisify(lib.func('int mdnsreg_close(mdnsreg_registry *registry)').async)
const watchClose = lib.func('int mdnsreg_watch_close(mdnsreg_watch *watch)')

const OK = 0
const EMPTY = 2
const ERR_CLOSED = -3
const ERR_INVALID = -8
// A thread that waits for longer would be missed: there are four, which files and host names need as well.
const SLICE_MS = 100

async function result(call, ...args) {
  const out = [null]
  await call(...args, out)
  return out[0]
}

/** Descriptors, options and results are plain objects with the keys of the JSON. */
export class Registry {
  #handle

  static async open(options = {}) {
    const registry = new Registry()
    registry.#handle = await result(open, JSON.stringify(options))
    return registry
  }

  async register(service, options = {}) {
    await register(this.#handle, JSON.stringify(service), JSON.stringify(options))
  }

  async deregister(service) {
    await deregister(this.#handle, JSON.stringify(service))
  }

  async getService(name) {
    if (name?.includes('\0')) throw failure(ERR_INVALID, 'name: must have no control characters, got U+0000')
    return JSON.parse(await result(getService, this.#handle, name))
  }

  async listServices() {
    return JSON.parse(await result(listServices, this.#handle))
  }

  async watch(options = {}) {
    return new Watch(await result(watchOpen, this.#handle, JSON.stringify(options)))
  }

  async close() {
    await close(this.#handle)
  }
}

export class Watch {
  #handle
  #ended = false

  constructor(handle) {
    this.#handle = handle
  }

  /** Whether `next` found that the watch or its registry was closed. */
  get ended() {
    return this.#ended
  }

  /** The next event; null when none came in time or the watch has `ended`. */
  async next(timeoutMs = Infinity) {
    const deadline = performance.now() + timeoutMs
    do {
      const out = [null]
      const left = Math.max(0, deadline - performance.now())
      const status = await watchNext(this.#handle, Math.ceil(Math.min(SLICE_MS, left)), out).catch((error) => {
        if (error.code !== ERR_CLOSED) throw error
        return ERR_CLOSED
      })
      if (status === OK) {
        const event = JSON.parse(eventJson(out[0]))
        eventFree(out[0])
        return event
      }
      this.#ended = status !== EMPTY
    } while (!this.#ended && performance.now() < deadline)
    return null
  }

  /** Wakes whoever waits in `next`. */
  close() {
    watchClose(this.#handle)
  }
}
