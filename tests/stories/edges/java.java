import java.time.Duration;

class Edges {
    public static void main(String[] args) throws InterruptedException {
        var registry = new MdnsRegistry();
        refused(() -> registry.getService("a\0b"));
        refused(() -> registry.watch("a\0b"));
        var watch = registry.watch("nobody");
        watch.next(null);
        say(watch, Duration.ofMillis(10));
        var waits = new Thread(() -> say(watch, null));
        waits.start();
        registry.close();
        waits.join();
        say(watch, null);
        watch.close();
        say(watch, null);
    }

    static void refused(Runnable ask) {
        try {
            ask.run();
        } catch (MdnsRegistry.Failure failure) {
            System.out.println(failure.code + " " + failure.getMessage());
        }
    }

    static void say(MdnsRegistry.Watch watch, Duration timeout) {
        var event = watch.next(timeout);
        System.out.println(event.map(MdnsRegistry.Event::type).orElse(watch.ended() ? "ended" : "timeout"));
    }
}
