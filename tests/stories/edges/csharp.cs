using System;
using System.Threading;
using MdnsRegistry;

static class Edges
{
    static void Main()
    {
        var registry = new Registry();
        Refused(() => registry.GetService("a\0b"));
        Refused(() => registry.Watch("a\0b"));
        var watch = registry.Watch("nobody");
        watch.Next();
        Say(watch, TimeSpan.FromMilliseconds(10));
        var waits = new Thread(() => Say(watch, null));
        waits.Start();
        registry.Dispose();
        waits.Join();
        Say(watch, null);
        watch.Dispose();
        Say(watch, null);
    }

    static void Refused(Action ask)
    {
        try
        {
            ask();
        }
        catch (RegistryException refused)
        {
            Console.WriteLine(refused.Code + " " + refused.Message);
        }
    }

    static void Say(Watch watch, TimeSpan? timeout)
    {
        var seen = watch.Next(timeout);
        Console.WriteLine(seen != null ? seen.type : watch.Ended ? "ended" : "timeout");
    }
}
