import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Story [SERVICE [WATCHED [follow]]] registers SERVICE, changes it and withdraws it, while it watches WATCHED. */
public final class Story {
    public static void main(String[] args) {
        String service = args.length > 0 ? args[0] : "greeter";
        String watched = args.length > 1 ? args[1] : service;
        try (var registry = new MdnsRegistry(); var watch = registry.watch(watched)) {
            tell(registry, watch, service, watched, args.length > 2);
        } catch (RuntimeException problem) {
            System.err.println("story: " + problem.getMessage());
            System.exit(1);
        }
    }

    static void tell(
            MdnsRegistry registry, MdnsRegistry.Watch watch, String service, String watched, boolean follow) {
        Map<String, Runnable> steps = new LinkedHashMap<>();
        steps.put("create", () -> registry.register(described(service, 9090), Duration.ofSeconds(30)));
        steps.put("update", () -> registry.register(described(service, 9091), Duration.ofSeconds(30)));
        steps.put("delete", () -> registry.deregister(described(service, 9091)));
        steps.forEach((action, step) -> {
            if (!follow) step.run();
            say(action, await(watch, action));
            var found = action.equals("create") ? registry.getService(watched) : List.<MdnsRegistry.Service>of();
            if (follow) step.run();
            for (var each : found) {
                var names = registry.listServices().stream().map(MdnsRegistry.Service::name);
                System.out.println("list " + names.collect(Collectors.joining(" ")));
                say("get", each);
            }
        });
    }

    static MdnsRegistry.Service described(String service, int port) {
        var node = new MdnsRegistry.Node(service + "-1", "", port, Map.of("language", "java"));
        return new MdnsRegistry.Service(service, "1.0.0", null, null, List.of(node));
    }

    static MdnsRegistry.Service await(MdnsRegistry.Watch watch, String action) {
        while (true) {
            var event = watch.next(Duration.ofSeconds(10));
            var seen = event.orElseThrow(() -> new IllegalStateException("no " + action + " within 10 s"));
            if (action.equals(seen.action())) return seen.service();
        }
    }

    static void say(String what, MdnsRegistry.Service service) {
        var node = service.nodes().get(0);
        System.out.println(what + " " + service.name() + " " + node.id() + " " + node.port());
    }
}
