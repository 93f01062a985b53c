import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** mdns_registry in Java, by JNA. The records have the JSON of go-micro's registry; any thread may call any method. */
public final class MdnsRegistry implements AutoCloseable {
    public record Service(
            String name, String version, Map<String, String> metadata, List<Endpoint> endpoints, List<Node> nodes) {}

    public record Node(String id, String address, int port, Map<String, String> metadata) {}

    public record Endpoint(String name, Value request, Value response, Map<String, String> metadata) {}

    public record Value(String name, String type, List<Value> values) {}

    /** One change of one node ("service"), or "synced", or "resync". */
    public record Event(String type, String action, String key, String reason, Service service) {}

    public static final class Failure extends RuntimeException {
        public final int code;

        private Failure(int code, String message) {
            super(message);
            this.code = code;
        }
    }

    private interface C extends Library {
        C LIBRARY = Native.load("libmdns_registry.so.0", C.class, Map.of(OPTION_STRING_ENCODING, "UTF-8"));
        int OK = 0;
        int EMPTY = 2;
        int ERR_CLOSED = -3;
        int ERR_INVALID = -8;

        int mdnsreg_open(String options, PointerByReference out, PointerByReference err);

        int mdnsreg_register(Pointer registry, String service, String options, PointerByReference err);

        int mdnsreg_deregister(Pointer registry, String service, PointerByReference err);

        int mdnsreg_get_service(Pointer registry, String name, PointerByReference out, PointerByReference err);

        int mdnsreg_list_services(Pointer registry, PointerByReference out, PointerByReference err);

        int mdnsreg_close(Pointer registry);

        int mdnsreg_watch_open(Pointer registry, String options, PointerByReference out, PointerByReference err);

        int mdnsreg_watch_next(Pointer watch, long timeoutMs, PointerByReference out, PointerByReference err);

        int mdnsreg_watch_close(Pointer watch);

        String mdnsreg_event_json(Pointer event);

        int mdnsreg_event_free(Pointer event);

        String mdnsreg_error_message(Pointer error);

        void mdnsreg_error_free(Pointer error);

        void mdnsreg_string_free(Pointer string);
    }

    private static final Gson GSON = new Gson();
    private final Pointer handle;

    public MdnsRegistry() {
        this(Map.of());
    }

    public MdnsRegistry(Map<String, ?> options) {
        handle = out((out, err) -> C.LIBRARY.mdnsreg_open(GSON.toJson(options), out, err));
    }

    /** Announces every node of the service; the lease is at least 3 s and is renewed while this process lives. */
    public void register(Service service, Duration lease) {
        var options = new JsonObject();
        options.addProperty("ttl_ms", lease.toMillis());
        check(err -> C.LIBRARY.mdnsreg_register(handle, GSON.toJson(service), GSON.toJson(options), err));
    }

    /** Withdraws the service's nodes; all of its name where {@code nodes} is null. */
    public void deregister(Service service) {
        check(err -> C.LIBRARY.mdnsreg_deregister(handle, GSON.toJson(service), err));
    }

    public List<Service> getService(String name) {
        if (name != null && name.indexOf('\0') >= 0) {
            throw new Failure(C.ERR_INVALID, "name: must have no control characters, got U+0000");
        }
        return services((out, err) -> C.LIBRARY.mdnsreg_get_service(handle, name, out, err));
    }

    public List<Service> listServices() {
        return services((out, err) -> C.LIBRARY.mdnsreg_list_services(handle, out, err));
    }

    /** Watches the services of a name; all where it is null. */
    public Watch watch(String name) {
        var options = new JsonObject();
        options.addProperty("service", name);
        return new Watch(out((out, err) -> C.LIBRARY.mdnsreg_watch_open(handle, GSON.toJson(options), out, err)));
    }

    @Override
    public void close() {
        C.LIBRARY.mdnsreg_close(handle);
    }

    public static final class Watch implements AutoCloseable {
        private final Pointer handle;
        private volatile boolean ended;

        private Watch(Pointer handle) {
            this.handle = handle;
        }

        /** Whether {@code next} found that the watch or its registry was closed. */
        public boolean ended() {
            return ended;
        }

        /** The next event; empty when none came in time or the watch has {@code ended}. A null timeout is no limit. */
        public Optional<Event> next(Duration timeout) {
            long limit = timeout == null ? -1 : timeout.toMillis();
            var out = new PointerByReference();
            int status;
            try {
                status = check(err -> C.LIBRARY.mdnsreg_watch_next(handle, limit, out, err));
            } catch (Failure failure) {
                if (failure.code != C.ERR_CLOSED) throw failure;
                status = failure.code;
            }
            if (status != C.OK) {
                ended = status != C.EMPTY;
                return Optional.empty();
            }
            try {
                return Optional.of(GSON.fromJson(C.LIBRARY.mdnsreg_event_json(out.getValue()), Event.class));
            } finally {
                C.LIBRARY.mdnsreg_event_free(out.getValue());
            }
        }

        /** Wakes whoever waits in {@code next}. */
        @Override
        public void close() {
            C.LIBRARY.mdnsreg_watch_close(handle);
        }
    }

    private interface Call {
        int with(PointerByReference err);
    }

    private interface CallWithOut {
        int with(PointerByReference out, PointerByReference err);
    }

    private static int check(Call call) {
        var err = new PointerByReference();
        int status = call.with(err);
        if (status >= C.OK) return status;
        try {
            throw new Failure(status, C.LIBRARY.mdnsreg_error_message(err.getValue()));
        } finally {
            C.LIBRARY.mdnsreg_error_free(err.getValue());
        }
    }

    private static Pointer out(CallWithOut call) {
        var out = new PointerByReference();
        check(err -> call.with(out, err));
        return out.getValue();
    }

    private static List<Service> services(CallWithOut call) {
        Pointer text = out(call);
        try {
            return List.of(GSON.fromJson(text.getString(0, "UTF-8"), Service[].class));
        } finally {
            C.LIBRARY.mdnsreg_string_free(text);
        }
    }
}
