// Story.exe [SERVICE [WATCHED [follow]]] registers SERVICE, changes it and withdraws it, while it watches WATCHED.
using System;
using System.Collections.Generic;
using System.Linq;
using MdnsRegistry;

public static class Story
{
    public static int Main(string[] args)
    {
        var service = args.ElementAtOrDefault(0) ?? "greeter";
        var watched = args.ElementAtOrDefault(1) ?? service;
        try
        {
            using (var registry = new Registry())
            using (var watch = registry.Watch(watched))
            {
                Tell(registry, watch, service, watched, args.Length > 2);
            }
            return 0;
        }
        catch (Exception problem)
        {
            Console.Error.WriteLine("story: " + problem.Message);
            return 1;
        }
    }

    static void Tell(Registry registry, Watch watch, string service, string watched, bool follow)
    {
        Action<int> register = port =>
        {
            var metadata = new Dictionary<string, string> { { "language", "csharp" } };
            var node = new Node { id = service + "-1", port = port, metadata = metadata };
            var described = new Service { name = service, version = "1.0.0", nodes = new List<Node> { node } };
            registry.Register(described, TimeSpan.FromSeconds(30));
        };
        Action<string, Action> step = (action, take) =>
        {
            if (!follow) take();
            Say(action, Await(watch, action));
            var found = action == "create" ? registry.GetService(watched) : new List<Service>();
            if (follow) take();
            foreach (var each in found)
            {
                Console.WriteLine("list " + string.Join(" ", registry.ListServices().Select(listed => listed.name)));
                Say("get", each);
            }
        };
        step("create", () => register(9090));
        step("update", () => register(9091));
        step("delete", () => registry.Deregister(new Service { name = service }));
    }

    static Service Await(Watch watch, string action)
    {
        while (true)
        {
            var seen = watch.Next(TimeSpan.FromSeconds(10));
            if (seen == null) throw new TimeoutException("no " + action + " within 10 s");
            if (seen.action == action) return seen.service;
        }
    }

    static void Say(string what, Service service)
    {
        var node = service.nodes[0];
        Console.WriteLine(what + " " + service.name + " " + node.id + " " + node.port);
    }
}
