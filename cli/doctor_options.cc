#include "cli/doctor_options.h"

#include <CLI/CLI.hpp>

namespace weighhouse::cli {

void DescribeDoctor(CLI::App& command, DoctorOptions& options) {
  command
      .add_option("--config", options.config,
                  "The daemon's configuration file (default: /etc/weighhouse/config.yaml, if it is "
                  "there)")
      ->type_name("FILE");
  command
      .add_option("--kubelet-dir", options.kubelet_dir,
                  "Where kubelet keeps its pods (default: /var/lib/kubelet, if it is there)")
      ->type_name("DIR");
  command.add_flag("--offline", options.offline, "Ask no source");
  command
      .add_option("--source", options.source,
                  "The source to ask (default: the configuration's sources.huggingface.endpoint)")
      ->type_name("URL")
      ->excludes("--offline");
  command
      .add_option("--uid", options.uid,
                  "Whom the daemon runs as (default: as the daemon says; without one who asks, and "
                  "64100 where that is root)")
      ->type_name("UID");
}

}  // namespace weighhouse::cli
