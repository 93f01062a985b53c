local Registry = require 'mdns_registry'

local registry = Registry.open()
for _, ask in ipairs {
  function() registry:get_service 'a\0b' end,
  function() registry:watch { service = 'a\0b' } end,
} do
  local _, problem = pcall(ask)
  print(problem.code .. ' ' .. problem.message)
end

local watch = registry:watch { service = 'nobody' }
watch:next()
local function say(timeout)
  local event = watch:next(timeout)
  print(event and event.type or watch.ended and 'ended' or 'timeout')
end
say(0.01)
registry:close()
say()
say()
watch:close()
say()
