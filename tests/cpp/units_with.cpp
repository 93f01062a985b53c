// One program of two translation units, with exceptions and without, each of which includes the header.
#include "check.hpp"

int without_exceptions(const char* name);

int main() {
  mr::registry registry(on_loopback());
  registry.register_(one_node("units", "units-1", 9090));
  CHECK(without_exceptions("units") == 9090);
  bool caught = false;
  try {
    registry.watch({"units"}, [](const mr::event&) {}).next(0ms);
  } catch (const mr::error& error) {
    caught = error.status() == MDNSREG_ERR_BUSY;
  }
  CHECK(caught);
  registry.close();
  return done();
}
