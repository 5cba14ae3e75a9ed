// Certificates: what isn't trusted is no source, and an admin may name the authorities.

#include <cstdlib>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/source_registry.h"
#include "test/cache-daemon/source/recording_sink.h"
#include "test/support/fixture_hub.h"
#include "test/support/loopback_policy.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::source {
namespace {

using testing::HasSubstr;

class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    WriteTestFile(models_ / "org/name/model.safetensors", weights_);
    // The openssl program comes with ca-certificates.
    std::string command = fmt::format(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
        "/CN=localhost "
        "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -out '{}' -keyout '{}' 2>/dev/null",
        Certificate(), (keys_ / "key.pem").string());
    CHECK(std::system(command.c_str()) == 0);
    auto hub = FixtureHub::Start(models_.path().string(), {"--tls-cert", Certificate(), "--tls-key",
                                                           (keys_ / "key.pem").string()});
    EXPECT_TRUE(hub) << hub.error().message;
    hub_ = std::move(hub).value();
  }
  std::string Certificate() const { return (keys_ / "cert.pem").string(); }
  std::shared_ptr<Source> HubSource(const std::string& ca_file) {
    auto registry = SourceRegistry::Create({.hub_endpoint = hub_->hub_url(), .ca_file = ca_file});
    return registry.value()->For(kModel).value();
  }

  const ModelReference kModel{.uri = "hf://org/name"};
  const std::string weights_ = PatternBytes(200'000, 9);
  TemporaryDirectory models_, keys_;
  std::unique_ptr<FixtureHub> hub_;
};

TEST_F(TlsTest, BringsAModelFromServersThatTheNamedAuthoritiesVouchFor) {
  auto source = HubSource(Certificate());
  auto listing = source->Resolve(kModel, {}, {});
  ASSERT_TRUE(listing) << listing.error().message;
  auto location = source->Locate(kModel, *listing, listing->files[0], {}, {});
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_TRUE(location->url.starts_with("https://localhost"));
  auto transport = CreateTransport({.ca_file = Certificate(), .policy = LoopbackPolicy()}).value();
  RecordingSink sink;
  TransferEnd end = Bring(*transport, *location, ByteRange{0, weights_.size()}, sink);
  EXPECT_TRUE(end.status) << end.status.error().message;
  EXPECT_EQ(sink.bytes(), weights_);
}

TEST_F(TlsTest, SaysThatACertificateIsNotTrustedAndCallsItTemporary) {
  auto listing = HubSource("")->Resolve(kModel, {}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kUnavailable);
  EXPECT_THAT(listing.error().message, HasSubstr("certificate is not trusted"));
  auto transport = CreateTransport({.policy = LoopbackPolicy()}).value();
  RecordingSink sink;
  TransferEnd end = Bring(*transport, {.url = hub_->hub_url() + "/x"}, std::nullopt, sink);
  ASSERT_FALSE(end.status);
  EXPECT_EQ(end.status.error().code, Code::kUnavailable);
  EXPECT_THAT(end.status.error().message, HasSubstr("certificate is not trusted"));
}

TEST_F(TlsTest, TakesTheAuthoritiesThatTheEnvironmentNames) {
  setenv("SSL_CERT_FILE", Certificate().c_str(), 1);
  auto source = HubSource("");
  unsetenv("SSL_CERT_FILE");
  auto listing = source->Resolve(kModel, {}, {});
  EXPECT_TRUE(listing) << listing.error().message;
}

}  // namespace
}  // namespace weighhouse::source
