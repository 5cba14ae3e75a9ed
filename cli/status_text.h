#pragma once

#include <string>
#include <vector>

#include "cli/client.h"
#include "cli/paint.h"
#include "cli/screen.h"
#include "proto/cache.pb.h"

namespace weighhouse::cli {

/// What `status` and `top` show, as the daemon answered it.
struct StatusView {
  cache::v1::InfoResponse info;
  cache::v1::CapacityResponse space;
  cache::v1::ListResponse list;
};

Result<StatusView> AskStatus(Client& client);

/// One screen of text. On a terminal it has bars and is as wide as that, long texts excepted.
std::string StatusText(const StatusView& view, const Screen& screen);

/// The snapshots that are being filled.
std::vector<cache::v1::Snapshot> FillsOf(const cache::v1::ListResponse& list);

// Its parts. Each begins with its name, and ends with a newline.
/// A line that begins with a name.
std::string StatusLine(const Paint& paint, std::string_view name, std::string_view text);

/// "  and 3 more: COMMAND"; nothing where all are shown.
std::string MoreText(size_t all, size_t shown, std::string_view command);

// Of the cache
/// `width` columns: # held, = evictable, + promised to fills and holds, and what is free.
std::string CapacityBar(const cache::v1::CapacityResponse& space, size_t width, const Paint& paint);
std::string SpaceText(const cache::v1::CapacityResponse& space, const Screen& screen);
std::string FillsText(const StatusView& view, const Screen& screen);
std::string ModelsText(const StatusView& view, const Screen& screen);
std::string LeasesText(const StatusView& view, const Screen& screen);

// Of the daemon
std::string ConfigurationText(const cache::v1::ConfigurationStatus& configuration,
                              const Paint& paint);
std::string IntegrityText(const cache::v1::Integrity& integrity, const Paint& paint);
std::string HoldsText(const cache::v1::InfoResponse& info, const Paint& paint);
std::string KeepText(const cache::v1::InfoResponse& info, const Paint& paint);
std::string HostsText(const cache::v1::InfoResponse& info, const Paint& paint);
std::string ErrorsText(const cache::v1::InfoResponse& info, const Paint& paint);

}  // namespace weighhouse::cli
