-- story.lua [SERVICE [WATCHED [follow]]]: registers SERVICE, changes it and withdraws it, while it watches WATCHED.
local Registry = require 'mdns_registry'

local service = arg[1] or 'greeter'
local watched = arg[2] or service
local follow = arg[3] ~= nil

local function say(what, found)
  local node = found.nodes[1]
  print(('%s %s %s %d'):format(what, found.name, node.id, node.port))
end

local function await(watch, action)
  while true do
    local event = watch:next(10) or error(('no %s of %s within 10 s'):format(action, watched), 0)
    if event.action == action then return event.service end
  end
end

local function names(services)
  local all = {}
  for _, each in ipairs(services) do all[#all + 1] = each.name end
  return table.concat(all, ' ')
end

local function tell(registry)
  local watch = registry:watch { service = watched }
  local function register(port)
    local node = { id = service .. '-1', port = port, metadata = { language = 'lua' } }
    registry:register({ name = service, version = '1.0.0', nodes = { node } }, { ttl_ms = 30000 })
  end
  for _, step in ipairs {
    { action = 'create', take = function() register(9090) end },
    { action = 'update', take = function() register(9091) end },
    { action = 'delete', take = function() registry:deregister { name = service } end },
  } do
    if not follow then step.take() end
    say(step.action, await(watch, step.action))
    local found = step.action == 'create' and registry:get_service(watched) or {}
    if follow then step.take() end
    for _, each in ipairs(found) do
      print('list ' .. names(registry:list_services()))
      say('get', each)
    end
  end
  watch:close()
end

local function open()
  local registry = Registry.open()
  local told, problem = pcall(tell, registry)
  registry:close()
  if not told then error(problem, 0) end
end

local told, problem = pcall(open)
if not told then
  io.stderr:write('story: ', tostring(problem), '\n')
  os.exit(1)
end
