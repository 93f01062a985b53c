// mdns_registry in C#, by P/Invoke. The classes have the JSON of go-micro's registry; any thread may call any method.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Web.Script.Serialization;

namespace MdnsRegistry
{
    public sealed class Service
    {
        public string name, version;
        public Dictionary<string, string> metadata;
        public List<Endpoint> endpoints;
        public List<Node> nodes;
    }

    public sealed class Node
    {
        public string id, address;
        public int port;
        public Dictionary<string, string> metadata;
    }

    public sealed class Endpoint
    {
        public string name;
        public Value request, response;
        public Dictionary<string, string> metadata;
    }

    public sealed class Value
    {
        public string name, type;
        public List<Value> values;
    }

    /// <summary>One change of one node ("service"), or "synced", or "resync".</summary>
    public sealed class Event
    {
        public string type, action, key, reason;
        public Service service;
    }

    public sealed class RegistryException : Exception
    {
        public int Code { get; }

        internal RegistryException(int code, string message) : base(message)
        {
            Code = code;
        }
    }

    public sealed class Registry : IDisposable
    {
        private readonly IntPtr handle;

        public Registry(object options = null)
        {
            C.Check(C.mdnsreg_open(Json.Write(options ?? new object()), out handle, out var err), err);
        }

        /// <summary>Announces every node; the lease is at least 3 s and is renewed while this process lives.</summary>
        public void Register(Service service, TimeSpan lease)
        {
            var options = Json.Write(new { ttl_ms = (long)lease.TotalMilliseconds });
            C.Check(C.mdnsreg_register(handle, Json.Write(service), options, out var err), err);
        }

        /// <summary>Withdraws the service's nodes; all of its name where nodes is null.</summary>
        public void Deregister(Service service)
        {
            C.Check(C.mdnsreg_deregister(handle, Json.Write(service), out var err), err);
        }

        public List<Service> GetService(string name)
        {
            if (name != null && name.IndexOf('\0') >= 0)
                throw new RegistryException(C.ERR_INVALID, "name: must have no control characters, got U+0000");
            C.Check(C.mdnsreg_get_service(handle, name, out var text, out var err), err);
            return Json.Take(text);
        }

        public List<Service> ListServices()
        {
            C.Check(C.mdnsreg_list_services(handle, out var text, out var err), err);
            return Json.Take(text);
        }

        /// <summary>Watches the services of a name; all where it is null.</summary>
        public Watch Watch(string name = null)
        {
            C.Check(C.mdnsreg_watch_open(handle, Json.Write(new { service = name }), out var watch, out var err), err);
            return new Watch(watch);
        }

        public void Dispose()
        {
            C.mdnsreg_close(handle);
        }
    }

    public sealed class Watch : IDisposable
    {
        private readonly IntPtr handle;
        private volatile bool ended;

        internal Watch(IntPtr handle)
        {
            this.handle = handle;
        }

        /// <summary>Whether Next found that the watch or its registry was disposed of.</summary>
        public bool Ended
        {
            get { return ended; }
        }

        /// <summary>The next event; null when none came in time or the watch has Ended. No timeout: no limit.</summary>
        public Event Next(TimeSpan? timeout = null)
        {
            var limit = timeout.HasValue ? (long)timeout.Value.TotalMilliseconds : -1;
            var status = C.mdnsreg_watch_next(handle, limit, out var found, out var err);
            if (status == C.END || status == C.ERR_CLOSED)
            {
                C.mdnsreg_error_free(err);
                ended = true;
                return null;
            }
            if (C.Check(status, err) == C.EMPTY) return null;
            try
            {
                return Json.Read<Event>(C.Text(C.mdnsreg_event_json(found)));
            }
            finally
            {
                C.mdnsreg_event_free(found);
            }
        }

        /// <summary>Wakes whoever waits in Next.</summary>
        public void Dispose()
        {
            C.mdnsreg_watch_close(handle);
        }
    }

    internal static class Json
    {
        // One for each call: its methods may not be called by several threads at once.
        private static JavaScriptSerializer Serializer
        {
            get { return new JavaScriptSerializer { MaxJsonLength = int.MaxValue }; }
        }

        internal static string Write(object value)
        {
            return Serializer.Serialize(value);
        }

        internal static T Read<T>(string text)
        {
            return Serializer.Deserialize<T>(text);
        }

        internal static List<Service> Take(IntPtr text)
        {
            try
            {
                return Read<List<Service>>(C.Text(text));
            }
            finally
            {
                C.mdnsreg_string_free(text);
            }
        }
    }

    internal static class C
    {
        private const string Library = "libmdns_registry.so.0";
        internal const int OK = 0, END = 1, EMPTY = 2, ERR_CLOSED = -3, ERR_INVALID = -8;

        [DllImport(Library)]
        internal static extern int mdnsreg_open([MarshalAs(UnmanagedType.LPUTF8Str)] string options, out IntPtr registry, out IntPtr err);

        [DllImport(Library)]
        internal static extern int mdnsreg_register(IntPtr registry, [MarshalAs(UnmanagedType.LPUTF8Str)] string service, [MarshalAs(UnmanagedType.LPUTF8Str)] string options, out IntPtr err);

        [DllImport(Library)]
        internal static extern int mdnsreg_deregister(IntPtr registry, [MarshalAs(UnmanagedType.LPUTF8Str)] string service, out IntPtr err);

        [DllImport(Library)]
        internal static extern int mdnsreg_get_service(IntPtr registry, [MarshalAs(UnmanagedType.LPUTF8Str)] string name, out IntPtr text, out IntPtr err);

        [DllImport(Library)]
        internal static extern int mdnsreg_list_services(IntPtr registry, out IntPtr text, out IntPtr err);

        [DllImport(Library)]
        internal static extern int mdnsreg_close(IntPtr registry);

        [DllImport(Library)]
        internal static extern int mdnsreg_watch_open(IntPtr registry, [MarshalAs(UnmanagedType.LPUTF8Str)] string options, out IntPtr watch, out IntPtr err);

        [DllImport(Library)]
        internal static extern int mdnsreg_watch_next(IntPtr watch, long timeoutMs, out IntPtr found, out IntPtr err);

        [DllImport(Library)]
        internal static extern int mdnsreg_watch_close(IntPtr watch);

        [DllImport(Library)]
        internal static extern IntPtr mdnsreg_event_json(IntPtr found);

        [DllImport(Library)]
        internal static extern int mdnsreg_event_free(IntPtr found);

        [DllImport(Library)]
        internal static extern IntPtr mdnsreg_error_message(IntPtr error);

        [DllImport(Library)]
        internal static extern void mdnsreg_error_free(IntPtr error);

        [DllImport(Library)]
        internal static extern void mdnsreg_string_free(IntPtr text);

        internal static int Check(int status, IntPtr err)
        {
            if (status >= OK) return status;
            try
            {
                throw new RegistryException(status, Text(mdnsreg_error_message(err)));
            }
            finally
            {
                mdnsreg_error_free(err);
            }
        }

        // What .NET calls ANSI is UTF-8 on Linux.
        internal static string Text(IntPtr text)
        {
            return Marshal.PtrToStringAnsi(text);
        }
    }
}
