/* One node's life, watched: story [SERVICE [WATCHED [follow]]]. Alone it watches itself; two, of which one follows,
 * tell each other's. */
#include <iostream>
#include <string>
#include <vector>

#include <mdns_registry.hpp>

using namespace std::chrono_literals;
using mdns_registry::action;

int main(int argc, char** argv) try {
  const std::string name = argc > 1 ? argv[1] : "greeter", watched = argc > 2 ? argv[2] : name;
  const bool follows = argc > 3;

  mdns_registry::registry registry;
  auto watch = registry.watch({watched});
  mdns_registry::service service{name, "1.0.0", {}, {}, {{name + "-1", "", 9090, {{"language", "cpp"}}}}};

  const auto step = [&](action next) {
    if (next == action::delete_) return registry.deregister(name);
    service.nodes[0].port = next == action::create ? 9090 : 9091;
    registry.register_(service, {30s});
  };
  const auto print = [](const std::string& what, const mdns_registry::service& told) {
    std::cout << what << ' ' << told.name << ' ' << told.nodes.at(0).id << ' ' << told.nodes[0].port << std::endl;
  };
  const auto await = [&](action wanted) {
    for (const auto& event : watch.events(10s)) {
      if (event.action == wanted) return print(to_string(wanted), event.service);
    }
    throw std::runtime_error(std::string("no ") + to_string(wanted) + " of " + watched + " came");
  };

  for (const action next : {action::create, action::update, action::delete_}) {
    if (!follows) step(next);
    await(next);
    std::vector<mdns_registry::service> found;
    if (next == action::create) found = registry.get_service(watched);
    if (follows) step(next);
    for (const auto& each : found) {
      std::cout << "list";
      for (const auto& listed : registry.list_services()) std::cout << ' ' << listed.name;
      std::cout << std::endl;
      print("get", each);
    }
  }
} catch (const std::exception& error) {
  std::cerr << "story: " << error.what() << std::endl;
  return 1;
}
