// Signs the requests that sigv4_oracle_test.py gives it, one JSON object a line, and says what it
// made of them.

#include <chrono>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "cache-daemon/source/s3/s3_place.h"
#include "cache-daemon/source/s3/sigv4.h"

using Json = nlohmann::json;
using namespace weighhouse;
using namespace weighhouse::source;

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    Json asked = Json::parse(line);
    S3Place place{.endpoint = {}, .bucket = asked["bucket"]};
    if (!asked["endpoint"].is_null())
      place.endpoint = Url::Parse(asked["endpoint"].get<std::string>()).value();
    if (asked["path_style"]) place.addressing = S3Addressing::kPath;
    std::string region = asked["region"];
    Url url =
        place.UrlOf(region, asked["key"].get<std::string>(), asked["query"].get<std::string>())
            .value();
    SignedRequest request{.method = "", .url = url, .payload_sha256 = asked["payload"]};
    std::string method = asked["method"];
    request.method = method;
    for (const auto& [name, value] : asked["headers"].items())
      request.headers.emplace_back(name, value);
    std::vector<std::string> headers =
        SigV4Headers(request,
                     {.access_key_id = asked["id"],
                      .secret_access_key = asked["secret"],
                      .session_token = asked["token"]},
                     {.region = region,
                      .time = std::chrono::system_clock::time_point(
                          std::chrono::seconds(asked["time"].get<int64_t>()))});
    std::cout << Json{{"url", url.ToString()}, {"headers", headers}}.dump() << "\n";
  }
  return 0;
}
