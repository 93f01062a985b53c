-- mdns_registry in LuaJIT, by its ffi. Descriptors, options and results are tables with the keys of the JSON.
local ffi = require 'ffi'
local json = require 'cjson'

ffi.cdef [[
typedef struct mdnsreg_error mdnsreg_error;
typedef struct mdnsreg_event mdnsreg_event;
typedef struct mdnsreg_registry mdnsreg_registry;
typedef struct mdnsreg_watch mdnsreg_watch;
typedef int32_t mdnsreg_status;
mdnsreg_status mdnsreg_error_code(const mdnsreg_error *error);
const char *mdnsreg_error_message(const mdnsreg_error *error);
void mdnsreg_error_free(mdnsreg_error *error);
void mdnsreg_string_free(char *string);
mdnsreg_status mdnsreg_open(const char *options_json, mdnsreg_registry **out, mdnsreg_error **err);
mdnsreg_status mdnsreg_register(mdnsreg_registry *registry, const char *service_json,
                                const char *register_options_json, mdnsreg_error **err);
mdnsreg_status mdnsreg_deregister(mdnsreg_registry *registry, const char *service_json, mdnsreg_error **err);
mdnsreg_status mdnsreg_get_service(mdnsreg_registry *registry, const char *name, char **out_json, mdnsreg_error **err);
mdnsreg_status mdnsreg_list_services(mdnsreg_registry *registry, char **out_json, mdnsreg_error **err);
mdnsreg_status mdnsreg_close(mdnsreg_registry *registry);
const char *mdnsreg_event_json(const mdnsreg_event *event);
mdnsreg_status mdnsreg_event_free(mdnsreg_event *event);
mdnsreg_status mdnsreg_watch_open(mdnsreg_registry *registry, const char *watch_options_json,
                                  mdnsreg_watch **out, mdnsreg_error **err);
mdnsreg_status mdnsreg_watch_next(mdnsreg_watch *watch, int64_t timeout_ms, mdnsreg_event **out, mdnsreg_error **err);
mdnsreg_status mdnsreg_watch_close(mdnsreg_watch *watch);
]]
local lib = ffi.load 'libmdns_registry.so.0'
local OK, EMPTY, ERR_CLOSED, ERR_INVALID = 0, 2, -3, -8

local function followed_by(last, ...)
  local arguments, count = { ... }, select('#', ...)
  arguments[count + 1] = last
  return unpack(arguments, 1, count + 1)
end

local function raise(code, message)
  error(setmetatable({ code = code, message = message }, { __tostring = function() return message end }), 0)
end

--- Calls mdnsreg_NAME with one more argument, a place for the error, and raises what it says went wrong; else its status.
local function call(name, ...)
  local err = ffi.new 'mdnsreg_error *[1]'
  local status = lib['mdnsreg_' .. name](followed_by(err, ...))
  if status >= OK then return status end
  local message = ffi.string(lib.mdnsreg_error_message(err[0]))
  lib.mdnsreg_error_free(err[0])
  raise(status, message)
end

local function result(name, ...)
  local out = ffi.new 'char *[1]'
  call(name, followed_by(out, ...))
  local text = ffi.string(out[0])
  lib.mdnsreg_string_free(out[0])
  return json.decode(text)
end

local function encode(value)
  return value and json.encode(value)
end

local Registry, Watch = {}, {}
Registry.__index, Watch.__index = Registry, Watch

function Registry.open(options)
  local out = ffi.new 'mdnsreg_registry *[1]'
  call('open', encode(options), out)
  return setmetatable({ handle = ffi.gc(out[0], lib.mdnsreg_close) }, Registry)
end

function Registry:register(service, options)
  call('register', self.handle, encode(service), encode(options))
end

function Registry:deregister(service)
  call('deregister', self.handle, encode(service))
end

function Registry:get_service(name)
  if name and name:find('\0', 1, true) then raise(ERR_INVALID, 'name: must have no control characters, got U+0000') end
  return result('get_service', self.handle, name)
end

function Registry:list_services()
  return result('list_services', self.handle)
end

function Registry:watch(options)
  local out = ffi.new 'mdnsreg_watch *[1]'
  call('watch_open', self.handle, encode(options), out)
  return setmetatable({ handle = ffi.gc(out[0], lib.mdnsreg_watch_close), ended = false }, Watch)
end

function Registry:close()
  lib.mdnsreg_close(ffi.gc(self.handle, nil))
end

--- The next event; nil when none came within `timeout` seconds (nil: no limit), or when the watch or its registry was
--- closed: then `ended` is true.
function Watch:next(timeout)
  local out = ffi.new 'mdnsreg_event *[1]'
  local asked, status = pcall(call, 'watch_next', self.handle, timeout and timeout * 1000 or -1, out)
  if not asked then
    if status.code ~= ERR_CLOSED then error(status, 0) end
    status = status.code
  end
  if status ~= OK then
    self.ended = status ~= EMPTY
    return nil
  end
  local text = ffi.string(lib.mdnsreg_event_json(out[0]))
  lib.mdnsreg_event_free(out[0])
  return json.decode(text)
end

function Watch:close()
  lib.mdnsreg_watch_close(ffi.gc(self.handle, nil))
end

return Registry
