# story.rb [SERVICE [WATCHED [follow]]]: registers SERVICE, changes it and withdraws it, while it watches WATCHED.
require_relative 'mdns_registry'

service, watched, follow = ARGV
service ||= 'greeter'
watched ||= service

def say(what, service)
  node = service['nodes'].first
  puts "#{what} #{service['name']} #{node['id']} #{node['port']}"
end

def await(watch, action, watched)
  loop do
    event = watch.next(10) or raise "no #{action} of #{watched} within 10 s"
    return event['service'] if event['action'] == action
  end
end

begin
  MdnsRegistry::Registry.open do |registry|
    watch = registry.watch(service: watched)
    register = lambda do |port|
      node = { id: "#{service}-1", port: port, metadata: { language: 'ruby' } }
      registry.register({ name: service, version: '1.0.0', nodes: [node] }, ttl_ms: 30_000)
    end
    {
      'create' => -> { register.call(9090) },
      'update' => -> { register.call(9091) },
      'delete' => -> { registry.deregister(name: service) },
    }.each do |action, step|
      step.call unless follow
      say(action, await(watch, action, watched))
      found = action == 'create' ? registry.get_service(watched) : []
      step.call if follow
      found.each do |service_found|
        puts "list #{registry.list_services.map { |listed| listed['name'] }.join(' ')}"
        say('get', service_found)
      end
    end
    watch.close
  end
rescue StandardError => e
  abort "story: #{e.message}"
end
