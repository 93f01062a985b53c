require_relative 'mdns_registry'

registry = MdnsRegistry::Registry.open
[-> { registry.get_service("a\0b") }, -> { registry.watch(service: "a\0b") }].each do |ask|
  ask.call
rescue MdnsRegistry::Error => e
  puts "#{e.code} #{e.message}"
end

watch = registry.watch(service: 'nobody')
watch.next
say = lambda do |timeout = nil|
  event = watch.next(timeout)
  puts(event ? event['type'] : watch.ended? ? 'ended' : 'timeout')
end
say.call(0.01)
waits = Thread.new { say.call }
registry.close
waits.join
say.call
watch.close
say.call
