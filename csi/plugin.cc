#include "csi/plugin.h"

#include <utility>
#include <vector>

#include "csi/unoffered_calls.h"

namespace weighhouse::csi {

Plugin::Plugin(const Options& options, Mounter& mounter, Protections& protections,
               std::chrono::milliseconds patience)
    : disk_({.kubelet_root = options.kubelet_root,
             .cache_root = options.cache_root,
             .selinux_context = options.selinux_context},
            mounter, protections),
      daemon_(options.daemon_socket, patience),
      publisher_({.margin = options.publish_margin, .hold_limit = options.publish_hold_limit},
                 disk_, daemon_, published_, [this] { reconciler_.Kick(); }),
      reconciler_({.kubelet_root = options.kubelet_root,
                   .disk = disk_,
                   .daemon = daemon_,
                   .published = published_,
                   .flights = publisher_.flights(),
                   .protections = protections,
                   .clock = clock_}),
      stats_(options.kubelet_root, disk_, published_),
      identity_(options.driver_name),
      controller_(NodeTopology::Of(options.driver_name, options.node_id), daemon_, protections),
      node_({.node_id = options.node_id,
             .kubelet_root = options.kubelet_root,
             .topology = NodeTopology::Of(options.driver_name, options.node_id),
             .publisher = publisher_,
             .stats = stats_}) {}

void Plugin::RegisterAt(grpc::ServerBuilder& builder) {
  builder.RegisterService(&identity_);
  builder.RegisterService(&controller_);
  builder.RegisterService(&node_);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(NameUnofferedCalls());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
}

}  // namespace weighhouse::csi
