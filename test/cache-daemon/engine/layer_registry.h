#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/error.h"
#include "test/cache-daemon/source/scripted_server.h"

namespace weighhouse {

/// A registry that has one image, org/image:latest, of the layers that it is given.
class LayerRegistry {
 public:
  explicit LayerRegistry(const std::vector<std::string>& layers)
      : server_([this](const auto& request) { return Serve(request); }) {
    std::string listed;
    for (const std::string& layer : layers) {
      listed += fmt::format(
          R"({}{{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "{}", "size": {}}})",
          listed.empty() ? "" : ",", Add(layer), layer.size());
    }
    manifest_ = fmt::format(
        R"({{"schemaVersion": 2, "config": {{"mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": "{}", "size": 2}}, "layers": [{}]}})",
        Add("{}"), listed);
  }

  std::string uri() const {
    return "oci://" + server_.Url("").substr(std::string("http://").size()) + "/org/image";
  }

 private:
  using Reply = source::ScriptedServer::Reply;

  std::string Add(const std::string& blob) {
    std::string name = "sha256:" + Digest::Of(blob).Hex();
    blobs_[name] = blob;
    return name;
  }
  Reply Serve(const source::ScriptedServer::Request& request) const {
    using source::HttpAnswer;
    if (request.target == "/v2/") return {HttpAnswer(200, {}, "{}")};
    if (request.target.contains("/manifests/")) {
      return {
          HttpAnswer(200, {"Content-Type: application/vnd.oci.image.manifest.v1+json"}, manifest_)};
    }
    auto blob = blobs_.find(request.target.substr(request.target.rfind('/') + 1));
    if (blob == blobs_.end()) return {HttpAnswer(404, {}, "{}")};
    const std::string& bytes = blob->second;
    size_t at = request.head.find("Range: bytes=");
    size_t begin = 0, end = bytes.size();
    if (at == std::string::npos) return {HttpAnswer(200, {}, bytes)};
    CHECK(std::sscanf(request.head.c_str() + at, "Range: bytes=%zu-%zu", &begin, &end) == 2);
    end = std::min(end + 1, bytes.size());
    std::string range = fmt::format("Content-Range: bytes {}-{}/{}", begin, end - 1, bytes.size());
    return {HttpAnswer(206, {range}, bytes.substr(begin, end - begin))};
  }

  std::map<std::string, std::string> blobs_;
  std::string manifest_;
  source::ScriptedServer server_;  // last: its threads use the others
};

}  // namespace weighhouse
