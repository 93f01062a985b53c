# mdns_registry in Ruby, by Fiddle. Descriptors, options and results are hashes with the keys of the JSON.
require 'fiddle/import'
require 'json'

module MdnsRegistry
  module C
    extend Fiddle::Importer
    dlload 'libmdns_registry.so.0'
    typealias 'int32_t', 'int'
    typealias 'int64_t', 'long long'
    extern 'int32_t mdnsreg_open(const char *options, void *out, void *err)'
    extern 'int32_t mdnsreg_register(void *registry, const char *service, const char *options, void *err)'
    extern 'int32_t mdnsreg_deregister(void *registry, const char *service, void *err)'
    extern 'int32_t mdnsreg_get_service(void *registry, const char *name, void *out, void *err)'
    extern 'int32_t mdnsreg_list_services(void *registry, void *out, void *err)'
    extern 'int32_t mdnsreg_close(void *registry)'
    extern 'int32_t mdnsreg_watch_open(void *registry, const char *options, void *out, void *err)'
    extern 'int32_t mdnsreg_watch_next(void *watch, int64_t timeout_ms, void *out, void *err)'
    extern 'int32_t mdnsreg_watch_close(void *watch)'
    extern 'const char *mdnsreg_event_json(void *event)'
    extern 'int32_t mdnsreg_event_free(void *event)'
    extern 'int32_t mdnsreg_error_code(void *error)'
    extern 'const char *mdnsreg_error_message(void *error)'
    extern 'void mdnsreg_error_free(void *error)'
    extern 'void mdnsreg_string_free(void *string)'
  end

  OK = 0
  EMPTY = 2
  ERR_CLOSED = -3
  ERR_INVALID = -8
  # Seconds. Ruby looks for Ctrl-C, Timeout and Thread#kill only between calls.
  SLICE = 0.1

  class Error < StandardError
    attr_reader :code

    def initialize(code, message)
      @code = code
      super(message)
    end
  end

  class << self
    # Calls `function` with a place for the error, and raises what it says went wrong; else its status.
    def call(function, *arguments)
      err = pointer
      status = C.public_send(function, *arguments, err)
      return status if status >= OK

      error = err.ptr
      begin
        raise Error.new(C.mdnsreg_error_code(error), text(C.mdnsreg_error_message(error)))
      ensure
        C.mdnsreg_error_free(error)
      end
    end

    # A place for one pointer, NULL at first.
    def pointer
      place = Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE)
      place[0, Fiddle::SIZEOF_VOIDP] = "\0" * Fiddle::SIZEOF_VOIDP
      place
    end

    def text(pointer)
      pointer.to_s.force_encoding(Encoding::UTF_8)
    end
  end

  class Registry
    # With a block, closes the registry after it.
    def self.open(options = {})
      registry = new(options)
      return registry unless block_given?

      begin
        yield registry
      ensure
        registry.close
      end
    end

    def initialize(options = {})
      @handle = out(:mdnsreg_open, JSON.generate(options))
    end

    def register(service, options = {})
      MdnsRegistry.call(:mdnsreg_register, @handle, JSON.generate(service), JSON.generate(options))
    end

    def deregister(service)
      MdnsRegistry.call(:mdnsreg_deregister, @handle, JSON.generate(service))
    end

    def get_service(name)
      raise Error.new(ERR_INVALID, 'name: must have no control characters, got U+0000') if name&.include?("\0")

      json(:mdnsreg_get_service, @handle, name)
    end

    def list_services
      json(:mdnsreg_list_services, @handle)
    end

    def watch(options = {})
      Watch.new(out(:mdnsreg_watch_open, @handle, JSON.generate(options)))
    end

    def close
      C.mdnsreg_close(@handle)
    end

    private

    def out(function, *arguments)
      place = MdnsRegistry.pointer
      MdnsRegistry.call(function, *arguments, place)
      place.ptr
    end

    def json(function, *arguments)
      string = out(function, *arguments)
      JSON.parse(MdnsRegistry.text(string))
    ensure
      C.mdnsreg_string_free(string)
    end
  end

  class Watch
    def initialize(handle)
      @handle = handle
      @ended = false
    end

    # Whether `next` found that the watch or its registry was closed.
    def ended?
      @ended
    end

    # The next event; nil when none came within `timeout` seconds (nil: no limit), or the watch has `ended?`.
    def next(timeout = nil)
      deadline = timeout ? now + timeout : Float::INFINITY
      out = MdnsRegistry.pointer
      loop do
        wait = (deadline - now).clamp(0, SLICE)
        status = poll((wait * 1000).ceil, out)
        return take(out.ptr) if status == OK

        @ended = status != EMPTY
        return if ended? || now >= deadline
      end
    end

    # Wakes whoever waits in `next`.
    def close
      C.mdnsreg_watch_close(@handle)
    end

    private

    def poll(timeout_ms, out)
      MdnsRegistry.call(:mdnsreg_watch_next, @handle, timeout_ms, out)
    rescue Error => e
      raise if e.code != ERR_CLOSED

      ERR_CLOSED
    end

    def take(event)
      JSON.parse(MdnsRegistry.text(C.mdnsreg_event_json(event)))
    ensure
      C.mdnsreg_event_free(event)
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
