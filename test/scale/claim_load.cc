// scale-claims SOCKET SNAPSHOTS CALLS: asks as the plugin does, call after call, whether models of
// a root that scale-root made fit, and creates volumes of them, which it deletes again. Prints one
// JSON object: how long the calls of Capacity and of CreateVolume took.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <grpcpp/create_channel.h>

#include "base/digest.h"
#include "proto/cache.grpc.pb.h"
#include "test/scale/scale_model.h"

namespace weighhouse::scale {
namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;
namespace pb = cache::v1;

// No divisor of a usual number of models: it comes round to all of them, in no order.
constexpr size_t kStride = 7919;

class Load {
 public:
  Load(const std::string& socket, size_t models)
      : cache_(pb::Cache::NewStub(
            grpc::CreateChannel("unix://" + socket, grpc::InsecureChannelCredentials()))),
        models_(models) {}

  std::vector<Milliseconds> AskWhatFits(size_t calls) {
    return Repeat(calls, [&](size_t number) {
      pb::CapacityRequest request;
      request.mutable_model()->set_uri(ModelOf(number));
      pb::CapacityResponse answer;
      grpc::ClientContext context;
      Milliseconds took =
          Took([&] { Check("Capacity", cache_->Capacity(&context, request, &answer)); });
      if (!answer.model().cached()) Die("Capacity: a model of the root isn't cached");
      return took;
    });
  }

  std::vector<Milliseconds> CreateVolumes(size_t calls) {
    return Repeat(calls, [&](size_t number) {
      pb::CreateVolumeRequest request;
      request.set_volume_id(fmt::format("volume-{}", number));
      request.set_request_digest(Digest::Of(request.volume_id()).Hex());
      request.mutable_model()->set_uri(ModelOf(number));
      pb::CreateVolumeResponse answer;
      grpc::ClientContext context;
      Milliseconds took =
          Took([&] { Check("CreateVolume", cache_->CreateVolume(&context, request, &answer)); });
      Delete(request.volume_id());
      return took;
    });
  }

 private:
  static std::vector<Milliseconds> Repeat(size_t calls,
                                          const std::function<Milliseconds(size_t)>& call) {
    std::vector<Milliseconds> took;
    for (size_t number = 0; number < calls; ++number) took.push_back(call(number));
    std::ranges::sort(took);
    return took;
  }

  static Milliseconds Took(const std::function<void()>& call) {
    auto begun = std::chrono::steady_clock::now();
    call();
    return std::chrono::steady_clock::now() - begun;
  }

  void Delete(const std::string& volume_id) {
    pb::DeleteVolumeRequest request;
    request.set_volume_id(volume_id);
    pb::DeleteVolumeResponse answer;
    grpc::ClientContext context;
    Check("DeleteVolume", cache_->DeleteVolume(&context, request, &answer));
  }

  std::string ModelOf(size_t number) const { return ReferenceOf(number * kStride % models_); }

  static void Check(const char* call, const grpc::Status& status) {
    if (!status.ok()) Die(fmt::format("{}: {}", call, status.error_message()));
  }

  [[noreturn]] static void Die(const std::string& message) {
    std::fputs(fmt::format("scale-claims: {}\n", message).c_str(), stderr);
    std::exit(1);
  }

  const std::unique_ptr<pb::Cache::Stub> cache_;
  const size_t models_;
};

/// `sorted` must not be empty.
std::string Summary(const std::vector<Milliseconds>& sorted) {
  double seconds = 0;
  for (Milliseconds one : sorted) seconds += one.count() / 1000;
  auto quantile = [&](double share) {
    auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
    return sorted[std::max<size_t>(rank, 1) - 1].count();
  };
  return fmt::format(R"({{"calls": {}, "seconds": {:.3f}, "p50_ms": {:.3f}, )"
                     R"("p99_ms": {:.3f}, "max_ms": {:.3f}}})",
                     sorted.size(), seconds, quantile(0.5), quantile(0.99), sorted.back().count());
}

int Main(std::span<char*> arguments) {
  if (arguments.size() != 4) {
    std::fputs("usage: scale-claims SOCKET SNAPSHOTS CALLS\n", stderr);
    return 2;
  }
  auto number = [&](size_t position) -> size_t {
    return std::max<size_t>(1, std::strtoull(arguments[position], nullptr, 10));
  };
  Load load(arguments[1], number(2));
  std::string capacity = Summary(load.AskWhatFits(number(3)));
  std::string create = Summary(load.CreateVolumes(number(3)));
  std::puts(fmt::format(R"({{"capacity": {}, "create_volume": {}}})", capacity, create).c_str());
  return 0;
}

}  // namespace
}  // namespace weighhouse::scale

int main(int argc, char** argv) {
  return weighhouse::scale::Main({argv, static_cast<size_t>(argc)});
}
