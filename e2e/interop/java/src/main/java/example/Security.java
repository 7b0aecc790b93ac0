package example;

import java.util.Objects;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.annotation.Order;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.http.SessionCreationPolicy;
import org.springframework.security.oauth2.client.oidc.authentication.OidcIdTokenDecoderFactory;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.client.registration.ClientRegistrationRepository;
import org.springframework.security.oauth2.client.web.DefaultOAuth2AuthorizationRequestResolver;
import org.springframework.security.oauth2.client.web.OAuth2AuthorizationRequestCustomizers;
import org.springframework.security.oauth2.client.web.OAuth2AuthorizationRequestRedirectFilter;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtDecoderFactory;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.web.SecurityFilterChain;

@Configuration
public class Security {

	/** The API: no session, and a token that is meant for it and has the scope. */
	@Bean
	@Order(1)
	SecurityFilterChain api(HttpSecurity http) throws Exception {
		return http.securityMatcher("/api/**")
			.authorizeHttpRequests((requests) -> requests.anyRequest().hasAuthority("SCOPE_insurance.read"))
			.oauth2ResourceServer((server) -> server.jwt(Customizer.withDefaults()))
			.sessionManagement((session) -> session.sessionCreationPolicy(SessionCreationPolicy.STATELESS))
			.csrf((csrf) -> csrf.disable())
			.build();
	}

	/** The application: everybody signs in. */
	@Bean
	@Order(2)
	SecurityFilterChain pages(HttpSecurity http, ClientRegistrationRepository clients) throws Exception {
		var requests = new DefaultOAuth2AuthorizationRequestResolver(clients,
				OAuth2AuthorizationRequestRedirectFilter.DEFAULT_AUTHORIZATION_REQUEST_BASE_URI);
		// Spring adds PKCE by itself for clients without a secret only.
		requests.setAuthorizationRequestCustomizer(OAuth2AuthorizationRequestCustomizers.withPkce());
		return http.authorizeHttpRequests((all) -> all.anyRequest().authenticated())
			.oauth2Login((login) -> login.authorizationEndpoint((endpoint) -> endpoint.authorizationRequestResolver(requests)))
			.build();
	}

	/** ID tokens are signed with ES256; Spring expects RS256 unless it is told. */
	@Bean
	JwtDecoderFactory<ClientRegistration> idTokens() {
		var factory = new OidcIdTokenDecoderFactory();
		factory.setJwsAlgorithmResolver((client) -> SignatureAlgorithm.ES256);
		return factory;
	}

	/** Access tokens are RFC 9068: of type at+jwt, and for this audience. */
	@Bean
	JwtDecoder accessTokens(@Value("${spring.security.oauth2.client.provider.ecard.issuer-uri}") String issuer,
			@Value("${api.audience}") String audience) {
		var decoder = NimbusJwtDecoder.withIssuerLocation(issuer).validateType(false).build();
		decoder.setJwtValidator(JwtValidators.createAtJwtValidator()
			.issuer(issuer)
			.audience(audience)
			.validators((claims) -> claims.put("client_id", new JwtClaimValidator<String>("client_id", Objects::nonNull)))
			.build());
		return decoder;
	}

}
